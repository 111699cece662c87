import { useQuery } from '@tanstack/react-query'
import { Link, useParams } from '@tanstack/react-router'
import { useEffect } from 'react'
import { PROJECT } from '../../api/session.ts'
import { experimentQuery, type TrackedRun, trackedRunQuery } from '../../api/tracked.ts'
import { formatMetric, plainText } from '../../format/amount.ts'
import { formatDuration } from '../../format/time.ts'
import { Answer } from '../../parts/answer.tsx'
import { State, type Tone } from '../../parts/state.tsx'
import { Clip, Command, When } from '../../parts/text.tsx'
import { useTitle } from '../../shell/title.ts'

const SHOWN_MAX = 500

const LOOKS: Record<string, { icon: string; tone: Tone }> = {
  RUNNING: { icon: '▶', tone: 'work' },
  FINISHED: { icon: '✓', tone: 'work' },
  FAILED: { icon: '✕', tone: 'harm' },
}

/** Opens the same page in the project that has what is asked for. */
function useProject(project: string | undefined): void {
  useEffect(() => {
    if (project !== undefined && project !== PROJECT)
      location.replace(`${location.pathname}?project=${encodeURIComponent(project)}`)
  }, [project])
}

function Read({ command }: { command: string }) {
  return (
    <>
      <p className="soft">All that was tracked is read with the mlflow client, such as:</p>
      <Command text={`MLFLOW_TRACKING_URI=${location.origin} ${command}`} />
    </>
  )
}

/** A client may say any number; what is no instant is not shown. */
const isInstant = (ms: number | undefined): ms is number => ms !== undefined && Math.abs(ms) <= 8.64e15

function Head({ run }: { run: TrackedRun }) {
  const { info, data } = run
  const tag = (name: string) => data.tags.find(({ key }) => key === name)?.value
  const [made, step] = [tag('plimsoll.run'), tag('plimsoll.step')]
  const look = { ...(LOOKS[info.status] ?? { icon: '◼', tone: 'calm' }), text: info.status.toLowerCase() }
  const { start_time: startMs, end_time: endMs } = info
  const hasTimes = isInstant(startMs) && (endMs === undefined || isInstant(endMs))
  return (
    <header className="stack">
      <div className="row">
        <h1 className="wrap">{plainText(info.run_name || 'Tracked run')}</h1>
        <State look={look} />
        {info.lifecycle_stage === 'deleted' && <span className="soft">deleted</span>}
      </div>
      <div className="row soft">
        <Clip className="mono" text={info.run_id} />
        {hasTimes && (
          <span>
            started <When at={new Date(startMs).toISOString()} />
            {endMs !== undefined && `, took ${formatDuration(endMs - startMs)}`}
          </span>
        )}
        {made !== undefined && step !== undefined && (
          <span className="wrap">
            tracked by{' '}
            <Link to="/runs/$run" params={{ run: made }} search={{ step }}>
              step {plainText(step, 80)} of run {plainText(made, 80)}
            </Link>
          </span>
        )}
      </div>
    </header>
  )
}

/** What the mlflow client logged in one run: where the links lead that it prints. */
export function Tracked() {
  const { tracked } = useParams({ from: '/tracked/runs/$tracked' })
  const query = useQuery(trackedRunQuery(tracked))
  useTitle(`Tracked run ${query.data?.found.info.run_name || tracked}`)
  useProject(query.data?.project)
  return (
    <Answer query={query} title={`Tracked run ${tracked}`}>
      {({ found: run }) => (
        <>
          <Head run={run} />
          <section className="surface stack" aria-labelledby="metrics">
            <h2 id="metrics">Metrics</h2>
            {run.data.metrics.length === 0 ? (
              <p className="soft">None.</p>
            ) : (
              <div className="figures">
                {run.data.metrics.slice(0, SHOWN_MAX).map(({ key, value }) => (
                  <div key={key}>
                    <div className="figure">
                      {typeof value === 'number' ? formatMetric(value) : plainText(value, 40)}
                    </div>
                    <Clip className="soft" text={key} />
                  </div>
                ))}
              </div>
            )}
          </section>
          <section className="surface stack" aria-labelledby="params">
            <h2 id="params">Params</h2>
            {run.data.params.length === 0 ? (
              <p className="soft">None.</p>
            ) : (
              <dl className="facts">
                {run.data.params.slice(0, SHOWN_MAX).map(({ key, value }) => (
                  <div key={key} style={{ display: 'contents' }}>
                    <dt className="wrap">{plainText(key, 80)}</dt>
                    <dd>{plainText(value)}</dd>
                  </div>
                ))}
              </dl>
            )}
          </section>
          <section className="surface stack" aria-label="How to read more">
            <Read command={`mlflow runs describe --run-id ${run.info.run_id}`} />
          </section>
        </>
      )}
    </Answer>
  )
}

/** Where the link leads that the mlflow client prints of an experiment. */
export function Experiment() {
  const { experiment } = useParams({ from: '/tracked/experiments/$experiment' })
  const query = useQuery(experimentQuery(experiment))
  useTitle(`Experiment ${query.data?.found.name ?? experiment}`)
  useProject(query.data?.project)
  return (
    <Answer query={query} title={`Experiment ${experiment}`} rows={1}>
      {({ found }) => (
        <>
          <h1 className="wrap">{plainText(found.name)}</h1>
          <section className="surface stack" aria-label="How to read it">
            <p>
              An experiment of the mlflow client. The <Link to="/runs">runs of your pipelines</Link> are shown here.
            </p>
            <Read command={`mlflow runs list --experiment-id ${found.experiment_id}`} />
          </section>
        </>
      )}
    </Answer>
  )
}
