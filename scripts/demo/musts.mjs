// What the chapters must have shown, looked for in what the platform answered; each throws the first thing that did not hold.
import { describeFailures } from './failures.mjs'

export function must(fact, what) {
  if (!fact) throw new Error(`this must hold and does not: ${what}`)
}

/** The columns in which prepare.ts damages June. */
const DAMAGED = ['delay', 'origin']

/** A refused version names what was damaged and nothing else, each with a count and examples; returns these results. */
export function mustTellDamage({ verdict, expectations }, results) {
  const failed = results.filter(({ success }) => !success)
  must(verdict === 'failed' && failed.length > 0, 'the damaged month fails')
  must(failed.length === expectations.failed, `each of ${expectations.failed} that failed is told (${failed.length})`)
  const columns = failed.map(({ expectation_config }) => expectation_config.kwargs?.column ?? 'table').sort()
  must(columns.join() === DAMAGED.join(), `what was damaged is what fails (${columns.join(', ')})`)
  for (const [index, { result }] of failed.entries()) {
    const { column } = failed[index].expectation_config.kwargs
    must(result?.unexpected_count > 0, `the rows in which ${column} fails are counted`)
    must(result.partial_unexpected_list?.length > 0, `some of the rows in which ${column} fails are shown`)
  }
  return failed
}

/** A passport names the commit that the code was at, and the data. */
export function mustNameOrigin({ bound }, commit) {
  must(bound.code?.commit === commit, `the passport names the commit ${commit} (${bound.code?.commit})`)
  must(bound.data.length > 0, 'the passport names the data')
}

/** A tracked run, its artifacts at the root, and the version that was made in it. */
export function mustTrack(run, files, { bound }) {
  const { metrics = [], params = [] } = run?.data ?? {}
  must(
    metrics.some(({ key, value }) => key === 'auc' && value === bound.metrics.auc),
    'mlflow logged the AUC of the passport',
  )
  must(params.length > 0, `mlflow logged the params of ${run?.info?.run_name} (${params.length})`)
  must(
    files.some(({ path }) => path.startsWith('metrics')),
    'mlflow logged the metrics as an artifact',
  )
  must(run.outputs?.model_outputs?.length > 0, 'mlflow logged the model')
  return `${params.length} params, ${metrics.length} metrics, an artifact and the model`
}

/** Of the replay's time, at the median: what is known an hour after a departure is part of the leak that chapter 2 shows. */
export const LAG_MINUTES_MAX = 60

/** Processor time is read where the system tells it; `isTold` says whether this one does. */
export function mustReplay(found, flights, isTold = process.platform === 'linux') {
  const { requests, failures, failuresByName, parity, labelled, tookMs, waitedMs, lagMinutes, cpuUsPerPrediction } =
    found
  must(
    failures === 0 && requests === flights,
    `all of ${flights} are answered (${failures} failed${failures > 0 ? `: ${describeFailures(failuresByName)}` : ''})`,
  )
  must(
    parity.values > 0 && parity.differing === 0,
    `online equals offline (${parity.differing} of ${parity.values} differ)`,
  )
  must(labelled === flights, `each of ${flights} gets its label (${labelled} did)`)
  const { p50, p95, p99 } = tookMs
  must(0 < p50 && p50 <= p95 && p95 <= p99, `latencies are measured (${p50}, ${p95}, ${p99} ms)`)
  must(waitedMs.p50 >= 0 && waitedMs.p50 <= waitedMs.p95, `waiting is measured (${waitedMs.p50}, ${waitedMs.p95} ms)`)
  must(
    lagMinutes.p50 <= LAG_MINUTES_MAX,
    `flights are asked at their departure: at the median at most ${LAG_MINUTES_MAX} minutes of the replay after it (${lagMinutes.p50?.toFixed(1)}); this machine is too busy`,
  )
  must(cpuUsPerPrediction > 0 || !isTold, `processor time is measured (${cpuUsPerPrediction} µs a prediction)`)
}

/** An intact chain leads to the commit that the code was at, and to the data, whose bytes were looked at. */
export function mustReach({ isIntact, links }, commit) {
  must(isIntact, 'the chain is intact')
  const named = (kind) => links.filter((link) => link.kind === kind)
  must(
    named('commit').some(({ name }) => name === commit),
    `the chain leads to the commit ${commit}`,
  )
  for (const [kind, dataset] of [
    ['training-data', 'at-departure-training'],
    ['source-data', 'flights'],
    ['source-data', 'labels'],
  ])
    must(
      named(kind).some(({ name, check }) => name.startsWith(`${dataset}/`) && check === 'verified'),
      `the chain leads to a version of the ${kind} ${dataset}, and its bytes are verified`,
    )
}
