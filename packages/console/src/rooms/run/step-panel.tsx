import { Switch } from '@mantine/core'
import { type AttemptView, changedText, isTerminalStep, type StepDetail, type StepState } from '@plimsoll/sdk/wire'
import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useEffect, useRef, useState } from 'react'
import { stepQuery } from '../../api/queries.ts'
import { PROJECT } from '../../api/session.ts'
import { type StepLog, useStepLog } from '../../api/step-log.ts'
import { formatBytes, plainLines, plainText, readableLog, shortDigest } from '../../format/amount.ts'
import { inProject } from '../../format/in-project.ts'
import { formatDuration } from '../../format/time.ts'
import { Answer, Problem } from '../../parts/answer.tsx'
import { LoadLine } from '../../parts/load-line.tsx'
import { lookOf, State } from '../../parts/state.tsx'
import { Table } from '../../parts/table.tsx'
import { Clip, Digest, When } from '../../parts/text.tsx'
import { nowBeside, useNow } from '../../shell/now.tsx'
import { cacheText } from './cache-text.ts'

const NOT_RUN: Partial<Record<StepState, string>> = {
  upstream_failed: 'It did not run because a step before it failed, so there is no log.',
  not_run: 'It did not run because the run failed before any step started, so there is no log.',
  cancelled: 'It was cancelled before it started, so there is no log.',
}

/** Several lines are the end of a log, which may point at a word of the line above. */
function Reason({ text, tone = 'harm' }: { text: string; tone?: 'harm' | 'signal' }) {
  return (
    <p className={text.includes('\n') ? 'lines mono' : 'lines'} data-tone={tone}>
      {plainLines(text)}
    </p>
  )
}

/** An attempt that says why the step failed need not say it again. */
function Attempts({ tries, reason }: { tries: readonly AttemptView[]; reason: string | null }) {
  if (tries.length === 0) return <p className="soft">None: the step has not run here.</p>
  return tries.map((attempt) => (
    <div className="stack" key={attempt.fence}>
      <div className="row between soft">
        <span>
          {attempt.number}. {attempt.state}
          {attempt.exitCode !== null && attempt.exitCode !== 0 && `, exit code ${attempt.exitCode}`}
          {attempt.signal !== null && `, ${attempt.signal}`}
        </span>
        <span>
          {attempt.finishedAt === null ? (
            <When at={attempt.startedAt} />
          ) : (
            formatDuration(Date.parse(attempt.finishedAt) - Date.parse(attempt.startedAt))
          )}
        </span>
      </div>
      {attempt.message !== null && attempt.message !== reason && <Reason text={attempt.message} />}
    </div>
  ))
}

function Outputs({ step }: { step: StepDetail }) {
  if (step.outputs.length === 0) return <p className="soft">{isTerminalStep(step.state) ? 'None.' : 'None yet.'}</p>
  return step.outputs.map((output) => (
    <div className="row between" key={output.name}>
      <Clip text={`${output.name} (${output.type})`} />
      <span className="row soft">
        {formatBytes(output.sizeBytes)}
        <Digest digest={output.digest} what={`digest of ${output.name}`} />
      </span>
    </div>
  ))
}

const SHOWN_CHARS_MAX = 120

/** What a component of the cache key was: digests shortened, the whole on hover. */
function Value({ text }: { text: string | null }) {
  const whole = plainText(text ?? '–')
  const short = whole.replaceAll(/sha256:[0-9a-f]{64}/g, (digest) => `${shortDigest(digest)}…`)
  return (
    <td className="mono" title={whole}>
      {plainText(short, SHOWN_CHARS_MAX)}
    </td>
  )
}

function CacheDiff({ step }: { step: StepDetail }) {
  if (step.cache === null)
    return (
      <p className="soft">{isTerminalStep(step.state) ? 'Not asked: the step did not run.' : 'Not decided yet.'}</p>
    )
  return (
    <div className="stack">
      <p>{cacheText(step.cache)}</p>
      {step.cache.diff.length > 0 && (
        <div className="scroll">
          <Table titles={['What', 'Before', 'Now']} className="plain even">
            {step.cache.diff.map((one) => (
              <tr key={`${one.part}/${one.name}`}>
                <td>{plainText(changedText(one), SHOWN_CHARS_MAX)}</td>
                <Value text={one.old} />
                <Value text={one.new} />
              </tr>
            ))}
          </Table>
        </div>
      )}
    </div>
  )
}

function emptyLog({ text, error }: StepLog, { state, progress }: StepDetail): string {
  if (text === undefined) return error === null ? 'Reading…' : ''
  if (!isTerminalStep(state)) return 'Nothing written yet.'
  return `The step wrote nothing.${progress?.message ? ` It said of its progress: ${plainText(progress.message)}` : ''}`
}

function Log({ run, step }: { run: string; step: StepDetail }) {
  const hasEnded = isTerminalStep(step.state)
  const sizeBytes = hasEnded ? (step.tries.toSorted((a, b) => b.number - a.number)[0]?.logBytes ?? null) : null
  const log = useStepLog({ run, step: step.key, attempt: step.attempts, sizeBytes })
  const [isFollowing, setFollowing] = useState(true)
  const place = useRef<HTMLPreElement>(null)
  useEffect(() => {
    const element = place.current
    if (isFollowing && element !== null && log.text) element.scrollTop = element.scrollHeight
  }, [isFollowing, log.text])
  return (
    <div className="stack">
      <div className="row between">
        <h3>Log</h3>
        {!hasEnded && (
          <Switch
            label="Follow"
            checked={isFollowing}
            onChange={(event) => setFollowing(event.currentTarget.checked)}
          />
        )}
      </div>
      {log.error !== null && <Problem error={log.error} />}
      {log.isCut && (
        <p className="soft">
          Only the newest part is shown. Read the whole with{' '}
          {inProject(`plimsoll logs ${plainText(run, 80)} ${step.key}`, PROJECT)}.
        </p>
      )}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard */}
      <pre className="log" ref={place} tabIndex={0} role="log" aria-live="off" aria-label={`Log of ${step.key}`}>
        {log.text ? readableLog(log.text, step.kind) : emptyLog(log, step)}
      </pre>
    </div>
  )
}

/** Why a step that did not run here has no log, and where its outputs come from. */
function NoLog({ step }: { step: StepDetail }) {
  const source = step.cache?.source ?? null
  return (
    <div className="stack">
      <h3>Log</h3>
      {step.state !== 'cached' ? (
        <p className="soft">{NOT_RUN[step.state] ?? 'It has not started yet, so there is no log.'}</p>
      ) : source === null ? (
        <p className="soft">It was taken from the cache and did not run, so it has no log.</p>
      ) : (
        <p className="soft">
          It was taken from the cache and did not run, so it has no log. What it gives was made by{' '}
          <Link to="/runs/$run" params={{ run: source.run }} search={{ step: source.step }}>
            step {plainText(source.step, 80)} of run {plainText(source.run, 80)}
          </Link>
          , where its log is.
        </p>
      )}
    </div>
  )
}

function Running({ step }: { step: StepDetail }) {
  const now = useNow()
  if (step.state !== 'running' || step.startedAt === null) return null
  const startedMs = Date.parse(step.startedAt)
  return (
    <LoadLine
      label="Running time against the timeout"
      value={Math.max(0, nowBeside(now, startedMs) - startedMs)}
      mark={step.definition.timeoutMs}
      format={formatDuration}
    />
  )
}

/** One step: attempts, outputs, why it ran, and its log. */
export function StepPanel({ run, step: key }: { run: string; step: string }) {
  const query = useQuery(stepQuery(run, key))
  return (
    <section className="surface stack" id="step" tabIndex={-1} aria-label={`Step ${key}`}>
      <Answer query={query} rows={2}>
        {(step) => (
          <>
            <div className="row between">
              <h2 className="wrap">{step.key}</h2>
              <State look={lookOf(step.state)} />
            </div>
            {step.reason !== null && (
              <Reason text={step.reason} tone={isTerminalStep(step.state) ? 'harm' : 'signal'} />
            )}
            <Running step={step} />
            <div className="pair">
              {step.attempts === 0 ? <NoLog step={step} /> : <Log run={run} step={step} />}
              <div className="stack">
                <h3>Cache</h3>
                <CacheDiff step={step} />
                <h3>Attempts</h3>
                <Attempts tries={step.tries} reason={step.reason} />
                <h3>Outputs</h3>
                <Outputs step={step} />
                {step.made?.type === 'model' && (
                  <Link
                    to="/models/$model/versions/$version"
                    params={{ model: step.made.name, version: String(step.made.version) }}
                  >
                    Model {plainText(step.made.name, 80)}/{step.made.version}
                  </Link>
                )}
                {step.trackedRun !== null && (
                  <Link to="/tracked/runs/$tracked" params={{ tracked: step.trackedRun }}>
                    Tracked params and metrics
                  </Link>
                )}
              </div>
            </div>
          </>
        )}
      </Answer>
    </section>
  )
}
