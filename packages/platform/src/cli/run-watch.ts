import type { Client } from '@plimsoll/sdk/client'
import { type RunView, runView } from '@plimsoll/sdk/wire'
import { realClock } from '../kernel/clock.ts'
import { type Io, printable, table } from './io.ts'

const POLL_MS = 400
const ENDED = new Set(['succeeded', 'failed', 'cancelled'])

/** Follows a run to its end, with a bar on a terminal. */
export async function watchRun(client: Client, io: Io, run: string, signal: AbortSignal): Promise<RunView> {
  try {
    for (;;) {
      const view = await client.call({ path: `/api/v1/runs/${encodeURIComponent(run)}`, schema: runView, signal })
      if (ENDED.has(view.state)) return view
      const running = view.graph.filter((step) => step.state === 'running')
      const partial = running.reduce((sum, step) => sum + (step.progress?.fraction ?? 0), 0)
      io.progress(
        (view.steps.done + partial) / Math.max(1, view.steps.total),
        running.map((step) => `${step.key} ${step.progress?.message ?? ''}`.trim()).join(', ') || view.state,
      )
      await realClock.sleep(POLL_MS, signal)
    }
  } finally {
    io.endProgress()
  }
}

function duration(from: string | null, to: string | null): string {
  if (from === null || to === null) return ''
  return `${((Date.parse(to) - Date.parse(from)) / 1_000).toFixed(1)} s`
}

/** The steps of a run, each with why it ran or was taken from the cache. */
export function runLines(view: RunView): string[] {
  const rows = view.graph.map((step) => {
    const change = step.cache?.diff[0]
    const why =
      step.cache === null
        ? (step.reason ?? '')
        : step.cache.hit
          ? `cache: ${step.cache.source?.run ?? 'hit'}`
          : `${step.cache.reason}${change ? ` (${change.part} ${change.name})` : ''}`
    return [step.key, step.kind, step.state, duration(step.startedAt, step.finishedAt), why]
  })
  return [
    `run ${view.id}  ${view.state}${view.reason ? `: ${printable(view.reason)}` : ''}`,
    ...table(['step', 'kind', 'state', 'time', 'why'], rows, 'no steps'),
  ]
}
