import type { Client } from '@plimsoll/sdk/client'
import { isProcessKind, isTerminalStep, type RunView, readLogLine, type StepView } from '@plimsoll/sdk/wire'
import { segment } from './argument.ts'

const STEPS_ASKED_MAX = 10
const WARNINGS_SHOWN_MAX = 3

async function warningsOf(client: Client, run: string, { key }: StepView): Promise<string[]> {
  const path = `/api/v1/runs/${segment(run, 'run')}/steps/${segment(key, 'step')}/log`
  const log = await client.fetch({ path }).then((response) => response.text())
  return log
    .split('\n')
    .map(readLogLine)
    .flatMap((line) => (line?.level === 'warning' ? [line.text] : []))
    .slice(-WARNINGS_SHOWN_MAX)
}

/** The last warnings of steps of the platform, by step: a run may succeed and not have done what was meant. */
export async function findWarnings(client: Client, run: RunView): Promise<ReadonlyMap<string, readonly string[]>> {
  const asked = run.graph
    .filter(({ kind, state }) => !isProcessKind(kind) && isTerminalStep(state) && state !== 'cached')
    .slice(0, STEPS_ASKED_MAX)
  const found = await Promise.all(
    asked.map(async (step) => [step.key, await warningsOf(client, run.id, step).catch(() => [])] as const),
  )
  return new Map(found.filter(([, warnings]) => warnings.length > 0))
}
