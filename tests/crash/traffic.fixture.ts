import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from './client.fixture.ts'

const PREDICT_PAUSE_MS = 40
const WRITE_PAUSE_MS = 200
const LABELS_MAX = 500

/** Everything that the platform has acknowledged: none of it may be lost. */
export interface Acknowledged {
  /** By prediction id: the artifact that answered. */
  readonly predictions: Map<string, string>
  readonly labels: Map<string, number>
  readonly blobs: Set<string>
  /** Steps of the metric that the tracked run holds. */
  readonly metricSteps: Set<number>
  trackedRun: string
}

export interface Traffic {
  readonly acknowledged: Acknowledged
  /** Answers for one row by one artifact that differ from the first. */
  readonly wrong: string[]
  stop(): Promise<void>
}

/** Rows that run in one batch with others differ in the last bits of a float32. */
const TOLERANCE = 1e-5

/** Equal but for what batching does to floats. */
export function isClose(one: unknown, other: unknown): boolean {
  if (typeof one === 'number' && typeof other === 'number')
    return Math.abs(one - other) <= TOLERANCE * Math.max(1, Math.abs(one))
  if (typeof one !== 'object' || one === null || typeof other !== 'object' || other === null) return one === other
  const [a, b] = [Object.entries(one), Object.entries(other)]
  return a.length === b.length && a.every(([name, value], at) => b[at]![0] === name && isClose(value, b[at]![1]))
}

interface Predicted {
  prediction_id: string
  artifact: string
  predictions: unknown[]
}

/** Clients that never rest: predictions, labels, blobs and tracked metrics, each noted once it is acknowledged. */
export async function openTraffic(
  client: Client,
  route: string,
  rows: readonly Record<string, unknown>[],
): Promise<Traffic> {
  const { platform } = client
  const { run } = await client.must<{ run: { info: { run_id: string } } }>(
    `${platform.api}/api/2.0/mlflow/runs/create`,
    { method: 'POST', json: { experiment_id: '0' } },
  )
  const acknowledged: Acknowledged = {
    predictions: new Map(),
    labels: new Map(),
    blobs: new Set(),
    metricSteps: new Set(),
    trackedRun: run.info.run_id,
  }
  const wrong: string[] = []
  const first = new Map<string, unknown[]>()
  const waiting: string[] = []
  let isStopping = false
  let next = 0

  const predict = async () => {
    const index = next++ % rows.length
    const answer = await client.try(`${platform.gateway}/predict/${route}`, {
      method: 'POST',
      json: { rows: [rows[index]] },
    })
    if (answer?.status !== 200) return
    const { prediction_id: id, artifact, predictions } = answer.body as Predicted // the gateway's contract
    const key = `row ${index} by ${artifact}`
    const before = first.get(key) ?? predictions
    if (!isClose(before, predictions))
      wrong.push(`${key}: ${JSON.stringify(predictions)} after ${JSON.stringify(before)}`)
    first.set(key, before)
    if (acknowledged.predictions.has(id)) wrong.push(`prediction ${id} was answered twice`)
    acknowledged.predictions.set(id, artifact)
    waiting.push(id)
  }
  const label = async () => {
    const ids = waiting.slice(0, LABELS_MAX)
    if (ids.length === 0) return
    const labels = ids.map((prediction, index) => ({ prediction, label: index % 2, knownAtMs: 1e12 }))
    const answer = await client.try(`${platform.api}/api/v1/labels`, { method: 'POST', json: { labels } })
    if (answer?.status !== 200) return
    waiting.splice(0, ids.length)
    for (const entry of labels) acknowledged.labels.set(entry.prediction, entry.label)
  }
  const store = async () => {
    const bytes = Buffer.from(`blob ${next++}`.repeat(1_000))
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
    const answer = await client.try(`${platform.api}/api/v1/blobs/${digest}`, { method: 'PUT', bytes })
    if (answer?.status === 200) acknowledged.blobs.add(digest)
  }
  let batch = 0
  const track = async () => {
    const steps = Array.from({ length: 5 }, (_, index) => batch * 5 + index)
    batch++
    const answer = await client.try(`${platform.api}/api/2.0/mlflow/runs/log-batch`, {
      method: 'POST',
      json: {
        run_id: acknowledged.trackedRun,
        metrics: steps.map((step) => ({ key: 'm', value: step, timestamp: 1, step })),
      },
    })
    if (answer?.status === 200) for (const step of steps) acknowledged.metricSteps.add(step)
  }
  const repeat = async (work: () => Promise<void>, pauseMs: number) => {
    while (!isStopping) {
      await work()
      await sleep(pauseMs)
    }
  }
  const running = Promise.all([
    repeat(predict, PREDICT_PAUSE_MS),
    repeat(predict, PREDICT_PAUSE_MS),
    repeat(label, WRITE_PAUSE_MS),
    repeat(store, WRITE_PAUSE_MS),
    repeat(track, WRITE_PAUSE_MS),
  ])
  return {
    acknowledged,
    wrong,
    async stop() {
      isStopping = true
      await running
      while (waiting.length > 0) {
        await label()
        await sleep(WRITE_PAUSE_MS)
      }
    },
  }
}
