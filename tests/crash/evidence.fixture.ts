import { join } from 'node:path'
import { openFilesBlobStore } from '../../packages/platform/src/adapters/files/index.ts'
import { openPglite } from '../../packages/platform/src/adapters/pglite/backend.ts'
import { openDatabase } from '../../packages/platform/src/kernel/db/index.ts'
import '../../packages/platform/src/delivery/index.ts'
import '../../packages/platform/src/monitoring/index.ts'
import { readFrames } from '../../packages/platform/src/serving/gateway/index.ts'
import '../../packages/platform/src/serving/index.ts'

export interface StepEvidence {
  readonly run: string
  readonly key: string
  readonly state: string
  readonly kind: string
  readonly outputs: Readonly<Record<string, string>>
  /** States of its attempts, in the order of their fences. */
  readonly attempts: readonly string[]
}

/** What a data directory holds once the platform has ended, read without it. */
export interface Evidence {
  readonly runs: ReadonlyMap<string, { state: string; key: string | null; pipeline: string | null }>
  readonly steps: readonly StepEvidence[]
  readonly versions: readonly { name: string; artifact: string | null; run: string | null; step: string | null }[]
  readonly metrics: Readonly<Record<string, string>>
  readonly approvals: ReadonlySet<string>
  readonly releases: readonly { id: string; epoch: number }[]
  readonly assigned: string | undefined
  /** Ids of all identity records that were shipped, repeated ones too. */
  readonly predictions: readonly string[]
  readonly counted: number
  readonly labels: ReadonlyMap<string, { label: number; isJoined: boolean }>
  readonly metricSteps: readonly number[]
  readonly blobs: ReadonlySet<string>
}

async function readBlobs(directory: string) {
  const store = await openFilesBlobStore(directory)
  const read = async (digest: string) => {
    const chunks: Uint8Array[] = []
    for await (const chunk of store.get(digest)) chunks.push(chunk) // whole reads are verified
    return Buffer.concat(chunks)
  }
  const found = new Set<string>()
  for await (const { digest } of store.list()) {
    await read(digest)
    found.add(digest)
  }
  return { found, read }
}

export async function readEvidence(dataDir: string, trackedRun: string): Promise<Evidence> {
  const db = openDatabase(await openPglite(join(dataDir, 'database')))
  const { found: blobs, read } = await readBlobs(join(dataDir, 'blobs'))
  try {
    const attempts = await db.selectFrom('attempt').select(['run', 'key', 'state', 'fence']).orderBy('fence').execute()
    const steps = await db
      .selectFrom('step')
      .select(['run', 'key', 'kind', 'state', 'outputs', 'tracked_run'])
      .execute()
    const runs = await db.selectFrom('pipeline_run').select(['id', 'state', 'idempotency_key', 'pipeline']).execute()
    const predictions: string[] = []
    for (const { digest } of await db.selectFrom('prediction_segment').select('digest').execute())
      for (const payload of readFrames(await read(digest)).payloads)
        predictions.push((JSON.parse(payload.toString('utf8')) as { id: string }).id) // framed by the gateway
    const counts = await db.selectFrom('prediction_count').select('predictions').execute()
    const labels = await db.selectFrom('prediction_label').select(['prediction', 'label', 'joined']).execute()
    const versions = await db
      .selectFrom('model_version')
      .select(['model', 'version', 'artifact', 'run', 'step'])
      .execute()
    const approvals = await db.selectFrom('approval').select(['model', 'version']).execute()
    return {
      runs: new Map(
        runs.map((run) => [run.id, { state: run.state, key: run.idempotency_key, pipeline: run.pipeline }]),
      ),
      steps: steps.map(({ run, key, kind, state, outputs }) => ({
        kind,
        run,
        key,
        state,
        outputs: Object.fromEntries(Object.entries(outputs ?? {}).map(([name, output]) => [name, output.digest])),
        attempts: attempts.filter((entry) => entry.run === run && entry.key === key).map((entry) => entry.state),
      })),
      versions: versions.map(({ model, version, ...rest }) => ({ name: `${model}/${version}`, ...rest })),
      metrics: await readMetrics(db, steps),
      approvals: new Set(approvals.map((entry) => `${entry.model}/${entry.version}`)),
      releases: await db.selectFrom('release').select(['id', 'epoch']).orderBy('epoch').execute(),
      assigned: (await db.selectFrom('assignment').select('release').executeTakeFirst())?.release,
      predictions,
      counted: counts.reduce((sum, row) => sum + Number(row.predictions), 0),
      labels: new Map(labels.map((row) => [row.prediction, { label: row.label, isJoined: row.joined }])),
      metricSteps: (
        await db
          .selectFrom('tracked_metric as m')
          .innerJoin('tracked_run as r', 'r.no', 'm.run_no')
          .select('m.step')
          .where('r.id', '=', trackedRun)
          .where('m.key', '=', 'm')
          .execute()
      ).map((row) => Number(row.step)),
      blobs,
    }
  } finally {
    await db.destroy()
  }
}

/** The metrics that each step of every run has tracked last, by step. Runs of one step must agree. */
async function readMetrics(
  db: ReturnType<typeof openDatabase>,
  steps: readonly { key: string; tracked_run: string | null; state: string }[],
): Promise<Record<string, string>> {
  const latest = await db
    .selectFrom('tracked_metric_latest as m')
    .innerJoin('tracked_run as r', 'r.no', 'm.run_no')
    .select(['r.id as run', 'm.key', 'm.value'])
    .orderBy('m.key')
    .execute()
  const found: Record<string, Set<string>> = {}
  for (const { key, tracked_run: run, state } of steps) {
    if (run === null || state !== 'succeeded') continue
    const own = latest.filter((row) => row.run === run).map((row) => `${row.key}=${row.value}`)
    found[key] = (found[key] ?? new Set()).add(own.join(' '))
  }
  return Object.fromEntries(Object.entries(found).map(([key, values]) => [key, [...values].sort().join(' | ')]))
}
