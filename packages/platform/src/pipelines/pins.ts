import type { Pin } from '../kernel/blob/index.ts'
import type { FinishedAttempt } from './finish.ts'
import type { NamedOutputs } from './tables.ts'

/** Who holds what a run stored and names: its outputs, those that it took from the cache, and its logs. */
export function runOwner(run: string): string {
  return `run:${run}`
}

export function cacheOwner(key: string): string {
  return `cache:${key}`
}

export function pipelineOwner(digest: string): string {
  return `pipeline:${digest}`
}

export function digestsOfOutputs(outputs: NamedOutputs): string[] {
  return Object.values(outputs).map((output) => output.digest)
}

/** What the rows of an ended attempt name: its log always, its outputs when they are adopted. */
export function pinsOfAttempt(done: FinishedAttempt, isAdopted: boolean, cacheKey: string | undefined): Pin[] {
  const outputs = isAdopted ? digestsOfOutputs(done.outputs) : []
  const logs = done.log ? [done.log.digest] : []
  const run = { owner: runOwner(done.step.run), digests: [...outputs, ...logs], parts: done.parts }
  if (!isAdopted) return [{ ...run, parts: new Map() }]
  return cacheKey === undefined ? [run] : [run, { owner: cacheOwner(cacheKey), digests: outputs }]
}
