import { type Client, ClientError } from '@plimsoll/sdk/client'
import {
  type CacheVerdict,
  changedText,
  isTerminalRun,
  isTerminalStep,
  type RunView,
  runView,
  type StepView,
  startedRun,
  stepDetail,
} from '@plimsoll/sdk/wire'
import { realClock } from '../kernel/clock.ts'
import { segment } from './argument.ts'
import { CommandEnd, EXIT } from './exit-code.ts'
import { type Io, printable } from './io.ts'
import { findWarnings } from './step-warnings.ts'
import { table, terminalWidth } from './table.ts'

const POLL_MS = 500
/** A control plane that restarts is there again long before. */
const AWAY_MS_MAX = 30_000
/** What is told when the server, or what stands before it, is away. */
const AWAY_STATUS = new Set([502, 503, 504])
const TURNLESS_STEPS = new Set(['blocked', 'upstream_failed', 'not_run', 'cancelled'])
const MARKS: Record<string, string> = {
  succeeded: '✓',
  cached: '=',
  failed: '✗',
  upstream_failed: '·',
  not_run: '·',
  cancelled: '·',
  running: '▸',
  ready: '○',
  blocked: ' ',
}

/** What the cache said of a step, unless that is no reason of anything: a miss of a step whose turn has not come. */
export function verdictOf({ state, startedAt, cache }: StepView): CacheVerdict | null {
  return startedAt === null && TURNLESS_STEPS.has(state) && !cache?.hit ? null : cache
}

/** A state in words. */
export function stateText(state: StepView['state']): string {
  return state === 'upstream_failed' || state === 'not_run' ? 'not run' : state
}

/** How far a running step says it is. */
export function progressText({ state, progress }: StepView): string {
  if (state !== 'running' || progress === null) return ''
  return `${Math.floor(progress.fraction * 100)} %${progress.message ? ` ${progress.message}` : ''}`
}

function whyOf(step: StepView): string {
  const progress = progressText(step)
  if (progress) return progress
  if (step.state === 'upstream_failed') return 'a step that it needs failed'
  const cache = verdictOf(step)
  if (!cache) return ''
  if (cache.hit) return `from ${cache.source?.run ?? 'before'}`
  if (cache.reason === 'disabled') return 'without the cache'
  const [first, ...more] = cache.diff
  return `${cache.reason}${first ? `: ${changedText(first)}` : ''}${more.length > 0 ? ` and ${more.length} more` : ''}`
}

export function tookOf({ startedAt, finishedAt }: { startedAt: string | null; finishedAt: string | null }): string {
  if (startedAt === null || finishedAt === null) return ''
  return `${((Date.parse(finishedAt) - Date.parse(startedAt)) / 1_000).toFixed(1)} s`
}

/** Of a run that failed, the first step that did and has a log: one that failed before it started has none. */
async function findLogged(client: Client, run: RunView): Promise<string | undefined> {
  for (const { key } of run.graph.filter(({ state }) => state === 'failed').slice(0, FAILED_ASKED_MAX)) {
    const path = `/api/v1/runs/${segment(run.id, 'run')}/steps/${segment(key, 'step')}`
    const step = await client.call({ path, schema: stepDetail }).catch(() => undefined)
    if (step === undefined || step.tries.at(-1)?.logBytes) return key
  }
  return undefined
}

const FAILED_ASKED_MAX = 5

/** Answers with a run as people read it. */
export async function answerRun(client: Client, io: Io, run: RunView, flags = ''): Promise<void> {
  if (io.isJson) io.answer(run, '')
  else io.answer(run, describeRun(run, flags, await findLogged(client, run), await findWarnings(client, run)))
}

const INDENT = '  '

/** A run as people read it: its steps, why each ran or came from the cache, and with `flags` where the log is to look into. */
export function describeRun(
  run: RunView,
  flags = '',
  logged?: string,
  warnings: ReadonlyMap<string, readonly string[]> = new Map(),
): string[] {
  const { steps } = run
  return [
    `${run.id}  ${run.state}  ${run.pipeline ?? ''}  ${steps.done}/${steps.total} steps, ${steps.cached} from the cache`,
    ...(run.reason ? [`  ${printable(run.reason)}`] : []),
    ...table(
      ['', { elastic: 'step' }, 'state', 'took', { elastic: 'why' }],
      run.graph.map((step) => [MARKS[step.state] ?? ' ', step.key, stateText(step.state), tookOf(step), whyOf(step)]),
      'It has no steps',
      terminalWidth() - INDENT.length,
    ).map((line) => `${INDENT}${line}`),
    ...run.graph.flatMap(({ key, made }) =>
      made?.type === 'model' ? [`  ${key}: model ${printable(made.name)}/${made.version}`] : [],
    ),
    ...[...warnings].flatMap(([key, said]) => said.map((text) => `  ${key}: warning: ${printable(text)}`)),
    ...run.graph.flatMap((step) =>
      step.reason && step.reason !== run.reason
        ? [`  ${step.key}:`, ...step.reason.split('\n').map((line) => `      ${printable(line)}`)]
        : [],
    ),
    ...(logged ? [`  Its log: plimsoll logs ${run.id} ${logged}${flags}`] : []),
  ]
}

/** Notes each step that has ended since the last look. */
function noteEnded(io: Io, run: RunView, told: Set<string>): void {
  for (const step of run.graph) {
    if (told.has(step.key) || !isTerminalStep(step.state)) continue
    told.add(step.key)
    io.endProgress()
    io.note(`${MARKS[step.state] ?? ' '} ${step.key}  ${stateText(step.state)}  ${tookOf(step)}`.trimEnd())
  }
}

/** Repeats what only reads while the server is away: what it is asked about goes on without it. */
export async function untilServed<T>(
  client: Client,
  io: Io,
  read: () => Promise<T>,
  following: { readonly what: string; readonly next: string; readonly awayMsMax?: number },
): Promise<T> {
  const giveUpMs = realClock.monotonicMs() + (following.awayMsMax ?? AWAY_MS_MAX)
  for (;;) {
    try {
      return await read()
    } catch (error) {
      if (!(error instanceof ClientError) || !AWAY_STATUS.has(error.status)) throw error
      const { status, code, message, requestId } = error
      if (realClock.monotonicMs() >= giveUpMs)
        throw new ClientError({
          status,
          code,
          requestId,
          detail: `Cannot follow ${following.what} any longer: ${message}`,
          action: `When the server is there again, go on with ${following.next}`,
        })
      io.progress(0, `waiting for ${client.server}`)
      await realClock.sleep(POLL_MS)
    }
  }
}

function readRun(client: Client, io: Io, id: string, awayMsMax: number): Promise<RunView> {
  const read = () => client.call({ path: `/api/v1/runs/${segment(id, 'run')}`, schema: runView })
  return untilServed(client, io, read, { what: `run ${id}`, next: `plimsoll run show ${id}`, awayMsMax })
}

/** Waits for the end of a run: on a terminal with a bar and a line per step that ends, else in silence. */
export async function follow(
  client: Client,
  io: Io,
  id: string,
  { flags = '', awayMsMax = AWAY_MS_MAX } = {},
): Promise<RunView> {
  const told = new Set<string>()
  let waitsFor: string | null = null
  const leave = () => {
    io.endProgress()
    io.tell(
      { run: id, isFollowed: false },
      `The run goes on. See it with plimsoll run follow ${id}${flags}, end it with plimsoll cancel ${id}${flags}`,
    )
    process.exit(EXIT.interrupted)
  }
  // Not once: at a terminal the signal comes twice, from there and through the launcher.
  process.on('SIGINT', leave)
  try {
    for (;;) {
      const run = await readRun(client, io, id, awayMsMax)
      noteEnded(io, run, told)
      if (run.state === 'queued' && run.reason !== null && run.reason !== waitsFor) {
        io.endProgress()
        io.tell(
          { run: id, state: run.state, reason: run.reason },
          `It waits, and goes on by itself: ${printable(run.reason)}`,
        )
        waitsFor = run.reason
      }
      const running = run.graph.filter((step) => step.state === 'running')
      const within = running.reduce((sum, step) => sum + (step.progress?.fraction ?? 0), 0)
      const [first] = running
      const label = first
        ? `${first.key}${first.progress?.message ? `: ${first.progress.message}` : ''}${running.length > 1 ? ` and ${running.length - 1} more` : ''}`
        : run.state
      io.progress(
        run.steps.total === 0 ? 0 : (run.steps.done + within) / run.steps.total,
        `${run.steps.done}/${run.steps.total} ${label}`,
      )
      if (isTerminalRun(run.state)) return run
      await realClock.sleep(POLL_MS)
    }
  } finally {
    io.endProgress()
    process.removeListener('SIGINT', leave)
  }
}

/** A run that did not succeed is a failure of the command that waited for it. */
export function endAs(run: RunView): void {
  if (run.state !== 'succeeded') throw new CommandEnd(EXIT.failed)
}

/** Starts a request that makes a run, follows it, and answers with it; `flags` are those of commands that it names. */
export async function startAndFollow(
  client: Client,
  io: Io,
  body: unknown,
  { isDetached = false, flags = '' } = {},
): Promise<RunView | undefined> {
  const started = await client.call({
    method: 'POST',
    path: '/api/v1/runs',
    body,
    schema: startedRun,
  })
  if (isDetached) {
    io.answer(started, started.id)
    return undefined
  }
  io.tell({ run: started.id }, `Run ${started.id}`)
  const run = await follow(client, io, started.id, { flags })
  await answerRun(client, io, run, flags)
  endAs(run)
  return run
}
