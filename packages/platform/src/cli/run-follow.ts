import { type Client, ClientError } from '@plimsoll/sdk/client'
import {
  type CacheVerdict,
  isTerminalRun,
  isTerminalStep,
  type RunView,
  runView,
  type StepView,
  startedRun,
} from '@plimsoll/sdk/wire'
import { realClock } from '../kernel/clock.ts'
import { segment } from './argument.ts'
import { CommandEnd, EXIT } from './exit-code.ts'
import { type Io, printable } from './io.ts'
import { table } from './table.ts'

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

function whyOf(step: StepView): string {
  const cache = verdictOf(step)
  if (!cache) return ''
  if (cache.hit) return `same as ${cache.source?.run ?? 'before'}`
  const [first, ...more] = cache.diff
  return `${cache.reason}${first ? `: ${first.part} ${first.name}` : ''}${more.length > 0 ? ` and ${more.length} more` : ''}`
}

export function tookOf({ startedAt, finishedAt }: { startedAt: string | null; finishedAt: string | null }): string {
  if (startedAt === null || finishedAt === null) return ''
  return `${((Date.parse(finishedAt) - Date.parse(startedAt)) / 1_000).toFixed(1)} s`
}

/** A run as people read it: its steps, why each ran or came from the cache, and where to look when one failed, with `flags`. */
export function describeRun(run: RunView, flags = ''): string[] {
  const { steps } = run
  const failed = run.graph.find((step) => step.state === 'failed')
  return [
    `${run.id}  ${run.state}  ${run.pipeline ?? ''}  ${steps.done}/${steps.total} steps, ${steps.cached} from the cache`,
    ...(run.reason ? [`  ${printable(run.reason)}`] : []),
    ...table(
      ['', { elastic: 'step' }, 'state', 'took', { elastic: 'why' }],
      run.graph.map((step) => [MARKS[step.state] ?? ' ', step.key, step.state, tookOf(step), whyOf(step)]),
      'It has no steps',
    ).map((line) => `  ${line}`),
    ...run.graph.flatMap((step) =>
      step.reason && step.reason !== run.reason
        ? [`  ${step.key}:`, ...step.reason.split('\n').map((line) => `      ${printable(line)}`)]
        : [],
    ),
    ...(failed ? [`  Its log: plimsoll logs ${run.id} ${failed.key}${flags}`] : []),
  ]
}

/** Notes each step that has ended since the last look. */
function noteEnded(io: Io, run: RunView, told: Set<string>): void {
  for (const step of run.graph) {
    if (told.has(step.key) || !isTerminalStep(step.state)) continue
    told.add(step.key)
    io.endProgress()
    io.note(`${MARKS[step.state] ?? ' '} ${step.key}  ${step.state}  ${tookOf(step)}`.trimEnd())
  }
}

/** Reads the run, and waits for a server that is away; the run goes on without it. */
async function readRun(client: Client, io: Io, id: string, awayMsMax: number): Promise<RunView> {
  const giveUpMs = realClock.monotonicMs() + awayMsMax
  for (;;) {
    try {
      return await client.call({ path: `/api/v1/runs/${segment(id, 'run')}`, schema: runView })
    } catch (error) {
      if (!(error instanceof ClientError) || !AWAY_STATUS.has(error.status)) throw error
      const { status, code, message, requestId } = error
      if (realClock.monotonicMs() >= giveUpMs)
        throw new ClientError({
          status,
          code,
          requestId,
          detail: `Cannot follow run ${id} any longer: ${message}`,
          action: `When the server is there again, go on with plimsoll run show ${id}`,
        })
      io.progress(0, `waiting for ${client.server}`)
      await realClock.sleep(POLL_MS)
    }
  }
}

/** Waits for the end of a run: on a terminal with a bar and a line per step that ends, else in silence. */
export async function follow(
  client: Client,
  io: Io,
  id: string,
  { flags = '', awayMsMax = AWAY_MS_MAX } = {},
): Promise<RunView> {
  const told = new Set<string>()
  const leave = () => {
    io.endProgress()
    io.tell(
      { run: id, isFollowed: false },
      `The run goes on. See it with plimsoll run follow ${id}${flags}, end it with plimsoll cancel ${id}${flags}`,
    )
    process.exit(EXIT.interrupted)
  }
  process.once('SIGINT', leave)
  try {
    for (;;) {
      const run = await readRun(client, io, id, awayMsMax)
      noteEnded(io, run, told)
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
  io.answer(run, describeRun(run, flags))
  endAs(run)
  return run
}
