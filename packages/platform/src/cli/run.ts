import type { Client } from '@plimsoll/sdk/client'
import { type RunView, runSummary, runView, type StepView } from '@plimsoll/sdk/wire'
import type { Command } from 'commander'
import { z } from 'zod'
import { realClock } from '../kernel/clock.ts'
import { addCommand, addGroup } from './command.ts'
import { connect } from './connection.ts'
import { CommandEnd, EXIT, UsageError } from './exit-code.ts'
import type { Io } from './io.ts'

interface StartFlags {
  param?: string[]
  force?: string[]
  forceFrom?: string[]
  cache?: boolean
  detach?: boolean
  key?: string
}

const POLL_MS = 500
const TERMINAL = new Set(['succeeded', 'failed', 'cancelled'])
const MARKS: Record<string, string> = {
  succeeded: '✓',
  cached: '=',
  failed: '✗',
  upstream_failed: '·',
  cancelled: '·',
  running: '▸',
  ready: '○',
  blocked: ' ',
}

/** `name=value`, where value is JSON when it parses, else text. */
export function parseParams(given: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(
    given.map((entry) => {
      const cut = entry.indexOf('=')
      if (cut < 1) throw new UsageError(`Cannot read --param ${entry}: expected name=value`)
      const text = entry.slice(cut + 1)
      try {
        return [entry.slice(0, cut), JSON.parse(text) as unknown]
      } catch {
        return [entry.slice(0, cut), text]
      }
    }),
  )
}

function whyOf(step: StepView): string {
  if (!step.cache) return ''
  if (step.cache.hit) return `  same as ${step.cache.source?.run ?? 'before'}`
  const first = step.cache.diff[0]
  return `  ${step.cache.reason}${first ? `: ${first.part} ${first.name}` : ''}${step.cache.diff.length > 1 ? ` and ${step.cache.diff.length - 1} more` : ''}`
}

function describeRun(run: RunView): string[] {
  const head = `${run.id}  ${run.state}  ${run.pipeline ?? ''}  ${run.steps.done}/${run.steps.total} steps, ${run.steps.cached} from the cache${run.reason ? `\n  ${run.reason}` : ''}`
  return [
    head,
    ...run.graph.map(
      (step) =>
        `  ${MARKS[step.state] ?? ' '} ${step.key.padEnd(24)} ${step.state.padEnd(16)}${whyOf(step)}${step.reason ? `\n      ${step.reason.split('\n').join('\n      ')}` : ''}`,
    ),
  ]
}

async function follow(client: Client, io: Io, id: string): Promise<RunView> {
  for (;;) {
    const run = await client.call({ path: `/api/v1/runs/${id}`, schema: runView })
    const running = run.graph.find((step) => step.state === 'running')
    const label = running ? `${running.key}${running.progress ? `: ${running.progress.message}` : ''}` : run.state
    io.progress(
      run.steps.total === 0 ? 0 : (run.steps.done + (running?.progress?.fraction ?? 0)) / run.steps.total,
      label,
    )
    if (TERMINAL.has(run.state)) {
      io.endProgress()
      return run
    }
    await realClock.sleep(POLL_MS)
  }
}

function end(run: RunView): void {
  if (run.state !== 'succeeded') throw new CommandEnd(EXIT.failed)
}

/** Starts a request that makes a run, follows it, and answers with it. */
export async function startAndFollow(client: Client, io: Io, body: unknown, isDetached: boolean): Promise<void> {
  const started = await client.call({
    method: 'POST',
    path: '/api/v1/runs',
    body,
    schema: z.object({ id: z.string(), isNew: z.boolean() }),
  })
  if (isDetached) {
    io.answer(started, started.id)
    return
  }
  io.note(`Run ${started.id}`)
  const run = await follow(client, io, started.id)
  io.answer(run, describeRun(run))
  end(run)
}

const collect = ['--param <name=value...>', 'a param of the pipeline; JSON or text'] as [string, string]

function addStart(run: Command): void {
  addCommand<StartFlags>(run, {
    use: 'start <pipeline>',
    summary: 'run a pipeline and follow it',
    example: 'plimsoll run start train --param trees=100 --force fit',
    options: [
      collect,
      ['--force <step...>', 'run these steps though the cache knows them'],
      ['--force-from <step...>', 'these, and all that depend on them'],
      ['--no-cache', 'neither read nor write the cache'],
      ['--detach', 'do not wait'],
      ['--key <key>', 'idempotency key: the same request gives the same run'],
    ],
    action: async ({ io, options, args }) => {
      const { client } = connect(options)
      const body = {
        pipeline: args[0],
        params: parseParams(options.param ?? []),
        options: { cache: options.cache !== false, force: options.force ?? [], forceFrom: options.forceFrom ?? [] },
        ...(options.key === undefined ? {} : { idempotencyKey: options.key }),
      }
      await startAndFollow(client, io, body, options.detach === true)
    },
  })
}

/** `run start|list|show|follow` and `cancel`. */
export function addRun(program: Command): void {
  const run = addGroup(program, 'run', 'start pipelines and look at their runs')
  addStart(run)
  addCommand<{ limit?: string }>(run, {
    use: 'list',
    summary: 'list runs, newest first',
    example: 'plimsoll run list --limit 20',
    options: [['--limit <n>', 'how many (default: 20)']],
    action: async ({ io, options }) => {
      const { client } = connect(options)
      const { runs } = await client.call({
        path: '/api/v1/runs',
        query: { limit: options.limit ?? '20' },
        schema: z.object({ runs: z.array(runSummary) }),
      })
      io.answer(
        { runs },
        runs.length === 0
          ? 'No runs yet. Start one: plimsoll run start PIPELINE'
          : runs.map(
              (entry) =>
                `${entry.id}  ${entry.state.padEnd(10)} ${(entry.pipeline ?? '').padEnd(24)} ${entry.createdAt}  ${entry.steps.done}/${entry.steps.total}`,
            ),
      )
    },
  })
  addCommand(run, {
    use: 'show <run>',
    summary: 'show one run: steps, and why each ran or came from the cache',
    example: 'plimsoll run show run_01…',
    action: async ({ io, options, args }) => {
      const view = await connect(options).client.call({ path: `/api/v1/runs/${args[0]}`, schema: runView })
      io.answer(view, describeRun(view))
    },
  })
  addCommand(run, {
    use: 'follow <run>',
    summary: 'follow a run to its end',
    example: 'plimsoll run follow run_01…',
    action: async ({ io, options, args }) => {
      const view = await follow(connect(options).client, io, args[0]!)
      io.answer(view, describeRun(view))
      end(view)
    },
  })
  addCommand(program, {
    use: 'cancel <run>',
    summary: 'cancel a run',
    example: 'plimsoll cancel run_01…',
    action: async ({ io, options, args }) => {
      const { state } = await connect(options).client.call({
        method: 'POST',
        path: `/api/v1/runs/${args[0]}/cancel`,
        body: {},
        schema: z.object({ state: z.string() }),
        isIdempotent: true,
      })
      io.answer({ run: args[0], state }, `${args[0]} is ${state}`)
    },
  })
}
