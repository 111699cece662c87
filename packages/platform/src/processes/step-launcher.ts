import { appendFileSync, readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import type { QueryEngine } from '@plimsoll/sdk/seams'
import type { MaterializeCommand } from '../features/index.ts'
import { readEnvironment } from '../kernel/config/index.ts'
import { PlimsollError, toPlimsollError } from '../kernel/errors.ts'
import { openLog } from '../kernel/log.ts'
import { parseStepFile } from '../kernel/step-file.ts'
import { loadStepCommand } from './step-commands.ts'

const EXIT_CONFIG = 78
const EXIT_TEMPORARY = 75

/** Runs the heavy part of a contributed step kind: a child process without a database. */
async function main(): Promise<void> {
  const step = parseStepFile(readFileSync(readEnvironment()['PLIMSOLL_STEP'] ?? '', 'utf8'))
  const { values } = parseArgs({ options: { online: { type: 'string' } } })
  const log = openLog({ level: 'info', name: `step ${step.step}` })
  const stop = new AbortController()
  process.once('SIGTERM', () => stop.abort(new Error('the step was asked to end')))
  let engine: Promise<QueryEngine> | undefined
  const command: MaterializeCommand = {
    run: step.run,
    step: step.step,
    attempt: step.attempt,
    spec: step.spec,
    inputs: step.inputs as MaterializeCommand['inputs'], // digests were made by the control plane
    outputs: Object.fromEntries(Object.entries(step.outputs).map(([name, output]) => [name, output.path])),
    workDir: step.work_dir,
    engine: () => {
      engine ??= import('../adapters/duckdb/index.ts').then(({ openDuckdbQueryEngine }) =>
        openDuckdbQueryEngine({ tempDirectory: step.work_dir }),
      )
      return engine
    },
    onlineStore: async () => {
      if (values.online === undefined)
        throw new PlimsollError(
          'unavailable',
          'features.no_online_store',
          'Cannot materialize: this installation has no online store',
        )
      const { openLmdbOnlineStore } = await import('../adapters/lmdb/index.ts')
      return openLmdbOnlineStore({ directory: values.online })
    },
    log,
    progress: (fraction, message) =>
      appendFileSync(step.events, `${JSON.stringify({ t: 'progress', fraction, message })}\n`),
    signal: stop.signal,
  }
  try {
    const run = await loadStepCommand(step.kind)
    await run?.(command)
  } catch (thrown) {
    const error = toPlimsollError(thrown)
    process.stderr.write(`${error.code}: ${error.message}\n`)
    for (const fault of error.details.faults ?? []) process.stderr.write(`  ${fault.pointer} ${fault.detail}\n`)
    if (error.details.action) process.stderr.write(`${error.details.action}\n`)
    if (error.kind === 'internal') process.stderr.write(`${(error.cause as Error | undefined)?.stack ?? ''}\n`)
    process.exitCode = error.kind === 'internal' ? 1 : error.kind === 'unavailable' ? EXIT_TEMPORARY : EXIT_CONFIG
  } finally {
    await (await engine?.catch(() => undefined))?.close()
  }
}

await main()
