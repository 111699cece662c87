import type { Evidence } from './evidence.fixture.ts'
import type { Sailed } from './sail.fixture.ts'

/** Digests of every output by pipeline and step, over all runs that ended well: one set each when all agree. */
export function digestsOf({ runs, steps }: Evidence): Record<string, string[]> {
  const found: Record<string, string[]> = {}
  for (const step of steps) {
    if (step.state !== 'succeeded' && step.state !== 'cached') continue
    // Its report counts what an attempt before it had written; what it wrote shows in the answers.
    if (step.kind === 'materialize') continue
    const name = `${runs.get(step.run)?.pipeline}/${step.key}`
    const digests = JSON.stringify(Object.entries(step.outputs).toSorted())
    found[name] = [...new Set([...(found[name] ?? []), digests])]
  }
  return found
}

/** Steps that ended well with another number of attempts that did, or an attempt that never ended. */
function adoptedTwice({ steps }: Evidence): string[] {
  return steps
    .filter(({ state, attempts }) => {
      const adopted = attempts.filter((attempt) => attempt === 'succeeded').length
      return adopted !== (state === 'succeeded' ? 1 : 0) || attempts.some((a) => a === 'created' || a === 'running')
    })
    .map((step) => `${step.run}/${step.key} is ${step.state} after ${step.attempts.join(', ')}`)
}

/** What was acknowledged and is not there, each named. */
function lost({ evidence, acknowledged, voyage }: Sailed): string[] {
  const shipped = new Set(evidence.predictions)
  const steps = new Set(evidence.metricSteps)
  const releases = new Set(evidence.releases.map((release) => release.id))
  return [
    ...[...acknowledged.predictions.keys()].filter((id) => !shipped.has(id)).map((id) => `prediction ${id}`),
    ...[...acknowledged.labels]
      .filter(([id, label]) => evidence.labels.get(id)?.label !== label || !evidence.labels.get(id)?.isJoined)
      .map(([id]) => `label of ${id}`),
    ...[...acknowledged.blobs].filter((digest) => !evidence.blobs.has(digest)).map((digest) => `blob ${digest}`),
    ...[...acknowledged.metricSteps].filter((step) => !steps.has(step)).map((step) => `metric at step ${step}`),
    ...[...voyage.runs].filter(([key, id]) => evidence.runs.get(id)?.key !== key).map(([key]) => `run ${key}`),
    ...[...voyage.approvals].filter((name) => !evidence.approvals.has(name)).map((name) => `approval of ${name}`),
    ...voyage.releases.filter((id) => !releases.has(id)).map((id) => `release ${id}`),
  ]
}

function repeated(ids: readonly (string | number)[]): (string | number)[] {
  return [...new Set(ids.filter((id, index) => ids.indexOf(id) !== index))]
}

/** Each must be empty. */
export function violations(sailed: Sailed) {
  const { evidence } = sailed
  const artifacts = new Map(evidence.versions.map((version) => [`${version.run}/${version.step}`, version.name]))
  return {
    ...sailed.problems,
    lost: lost(sailed),
    adoptedTwice: adoptedTwice(evidence),
    registeredTwice: evidence.versions.length - artifacts.size,
    runTwice: repeated([...evidence.runs.values()].map((run) => run.key ?? '')),
    runsOpen: [...evidence.runs].filter(([, run]) => !['succeeded', 'failed'].includes(run.state)).map(([id]) => id),
    recordedTwice: repeated(evidence.predictions),
    countedWrong: evidence.counted - evidence.predictions.length,
    metricTwice: repeated(evidence.metricSteps),
    epochs: evidence.releases.filter((release, index) => release.epoch !== index + 1).map((release) => release.epoch),
    serves: evidence.assigned === evidence.releases.at(-1)?.id ? [] : [evidence.assigned],
  }
}

export const NONE = {
  dishonest: [],
  wrong: [],
  failedStarts: [],
  explained: [],
  audit: [],
  stopped: [],
  lost: [],
  adoptedTwice: [],
  registeredTwice: 0,
  runTwice: [],
  runsOpen: [],
  recordedTwice: [],
  countedWrong: 0,
  metricTwice: [],
  epochs: [],
  serves: [],
}
