import { cancelledRun, fieldName, listedNames, type RunSummary, runList, runView } from '@plimsoll/sdk/wire'
import type { Command } from 'commander'
import { limitOf, readJson, segment } from './argument.ts'
import { addCommand, addGroup } from './command.ts'
import { connect, flagsOf } from './connection.ts'
import { UsageError } from './exit-code.ts'
import { printable } from './io.ts'
import { answerRun, endAs, follow, startAndFollow } from './run-follow.ts'
import { formatInstant, table } from './table.ts'
import { findUnapplied } from './unapplied.ts'

interface StartFlags {
  param?: string[]
  force?: string[]
  forceFrom?: string[]
  cache?: boolean
  detach?: boolean
  key?: string
}

/** `name=value`, where value is JSON when it parses, else text. */
export function parseParams(given: readonly string[]): Record<string, unknown> {
  const params = new Map<string, unknown>()
  for (const entry of given) {
    const cut = entry.indexOf('=')
    const refuse = (why: string) => new UsageError(`Cannot read --param ${entry.slice(0, 80)}: ${why}`)
    if (cut < 1) throw refuse('expected name=value')
    const name = entry.slice(0, cut)
    const checked = fieldName.safeParse(name)
    if (!checked.success) throw refuse(`no param has this name: ${checked.error.issues[0]!.message}`)
    if (params.has(name)) throw refuse(`${name} is given twice`)
    const text = entry.slice(cut + 1)
    const value = readJson(text, `--param ${name}=`)
    params.set(name, value === undefined ? text : value)
  }
  return Object.fromEntries(params)
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
      const changed = await findUnapplied(client, args[0]!)
      if (changed.length > 0)
        io.tell(
          { changed },
          `The run takes ${listedNames(changed.map(printable))} as applied, not as here: plimsoll apply takes what is here`,
        )
      await startAndFollow(client, io, body, { isDetached: options.detach === true, flags: flagsOf(options) })
    },
  })
}

/** Why a run is still queued; empty for all others. */
function waitOf({ state, reason }: RunSummary): string {
  return state === 'queued' ? (reason ?? '') : ''
}

function addList(run: Command): void {
  addCommand<{ limit?: string; pipeline?: string }>(run, {
    use: 'list',
    summary: 'list runs, newest first',
    example: 'plimsoll run list --limit 20',
    options: [
      ['--limit <count>', 'how many (default: 20)'],
      ['--pipeline <name>', 'only runs of this pipeline'],
    ],
    action: async ({ io, options }) => {
      const { client } = connect(options)
      const { pipeline } = options
      const { runs } = await client.call({
        path: '/api/v1/runs',
        query: { limit: limitOf(options, 20), pipeline },
        schema: runList,
      })
      if (runs.length === 0 && pipeline !== undefined)
        await client.call({ path: `/api/v1/pipelines/${segment(pipeline, 'pipeline')}` }) // or says that there is none
      const waits = runs.some((entry) => waitOf(entry) !== '')
      io.answer(
        { runs },
        table(
          [
            ...['run', 'state', { elastic: 'pipeline' }, 'steps', 'created', { elastic: 'by' }],
            ...(waits ? [{ elastic: 'waits for' }] : []),
          ],
          runs.map((entry) => [
            entry.id,
            entry.state,
            entry.pipeline ?? '',
            `${entry.steps.done}/${entry.steps.total}`,
            formatInstant(entry.createdAt),
            entry.actor,
            ...(waits ? [waitOf(entry)] : []),
          ]),
          pipeline === undefined
            ? `No runs yet. Start one: plimsoll run start PIPELINE${flagsOf(options)}`
            : `No runs of a pipeline ${printable(pipeline)}`,
        ),
      )
    },
  })
}

/** `run start|list|show|follow` and `cancel`. */
export function addRun(program: Command): void {
  const run = addGroup(program, 'run', 'start pipelines and look at their runs')
  addStart(run)
  addList(run)
  addCommand(run, {
    use: 'show <run>',
    summary: 'show one run: steps, and why each ran or came from the cache',
    example: 'plimsoll run show run_01…',
    action: async ({ io, options, args }) => {
      const { client } = connect(options)
      const view = await client.call({ path: `/api/v1/runs/${segment(args[0], 'run')}`, schema: runView })
      await answerRun(client, io, view, flagsOf(options))
    },
  })
  addCommand(run, {
    use: 'follow <run>',
    summary: 'follow a run to its end',
    example: 'plimsoll run follow run_01…',
    action: async ({ io, options, args }) => {
      const flags = flagsOf(options)
      const { client } = connect(options)
      const view = await follow(client, io, args[0]!, { flags })
      await answerRun(client, io, view, flags)
      endAs(view)
    },
  })
  addCommand(program, {
    use: 'cancel <run>',
    summary: 'cancel a run',
    example: 'plimsoll cancel run_01…',
    action: async ({ io, options, args }) => {
      const { state } = await connect(options).client.call({
        method: 'POST',
        path: `/api/v1/runs/${segment(args[0], 'run')}/cancel`,
        body: {},
        schema: cancelledRun,
        isIdempotent: true,
      })
      // A run that ends by this call is cancelled or cancelling; another one had ended before.
      const isCancelled = state === 'cancelled' || state === 'cancelling'
      io.answer(
        { run: args[0], state },
        `${args[0]} is ${state}${isCancelled ? '' : ': it had ended before, and nothing was cancelled'}`,
      )
    },
  })
}
