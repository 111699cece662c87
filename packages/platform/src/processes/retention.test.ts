import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { collectBlobs, unpinBlobs } from '../kernel/blob/index.ts'
import { digestBytes } from '../kernel/digest.ts'
import { enqueue, listDeadJobs } from '../kernel/jobs/index.ts'
import { forgetCacheEntries, forgetRuns, removeWorkDirectories } from '../pipelines/index.ts'
import { runsOfVersions } from '../registry/index.ts'
import { forgetPredictions } from '../serving/index.ts'
import {
  CACHED,
  CODE,
  expectIntact,
  MODEL,
  openTestPlane,
  releaseSpine,
  runSpine,
  SUCCEEDED,
  statesOf,
  type TestPlane,
} from './spine.fixture.ts'

// Each case runs whole pipelines; a loaded machine takes its time.
vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 })

let plane: TestPlane
beforeAll(async () => {
  plane = await openTestPlane()
})
afterAll(() => plane.close(1_000))

/** Everything that nothing pins goes at once: what is left is needed. */
const collect = () => collectBlobs(plane.ctx, plane.blobs, { graceMs: -60_000 })
const put = async (text: string) => (await plane.blobs.put(Buffer.from(text))).digest
const isStored = async (digest: string) => (await plane.blobs.stat(digest)) !== undefined

test('a collection without grace takes an orphan and nothing that a row names', async () => {
  const { client } = plane
  const run = await runSpine(client)
  expect(statesOf(run)).toEqual(SUCCEEDED)
  const prediction = await releaseSpine(plane, 1)
  const orphan = await put('an orphan')
  const { seen } = await collect()
  expect(await isStored(orphan)).toBe(false)
  expect((await collect()).seen).toBe(seen - 1)
  await expectIntact(client, prediction)
  expect(statesOf(await runSpine(client))).toEqual(CACHED)
  const log = await client.fetch({ path: `/api/v1/runs/${run.id}/steps/fit/log` })
  expect(await log.text()).toContain('fitting on 1 file')
  for (const bytes of Object.values(CODE)) expect(await isStored(digestBytes(bytes))).toBe(true)
  for (const part of ['a page of the report', 'score\n0.5\n'])
    expect(await isStored(digestBytes(Buffer.from(part)))).toBe(true)
  // The code is still there to run, and what it leaves again is what was there.
  expect(statesOf(await runSpine(client, { force: ['fit'] }))).toContain('fit succeeded')
})

test('when a run is forgotten, what only it held goes; the run of a version stays with what explains it', async () => {
  const { client, ctx } = plane
  const started = await client.call({
    method: 'POST',
    path: '/api/v1/runs',
    body: {
      step: {
        key: 'lone',
        kind: 'command',
        params: { argv: ['/bin/sh', '-c', 'mkdir -p out/tree; printf alone > out/tree/leaf; echo said'] },
        outputs: { tree: 'directory' },
        cache: false,
      },
    },
    schema: z.object({ id: z.string() }),
  })
  await expect.poll(() => finishedAt(started.id), { timeout: 30_000 }).not.toBeNull()
  await collect()
  const [leaf, log] = [digestBytes(Buffer.from('alone')), digestBytes(Buffer.from('said\n'))]
  expect([await isStored(leaf), await isStored(log)]).toEqual([true, true])
  const runs = await ctx.db.selectFrom('pipeline_run').select('id').execute()
  expect(await forgetRuns(ctx, { ageMs: 3_600_000, isHeld: runsOfVersions })).toBe(0)
  // The run that the cache knows, and that the version came from, is not among those that go.
  const forgotten = await forgetRuns(ctx, { ageMs: 0, isHeld: runsOfVersions })
  const left = await ctx.db.selectFrom('pipeline_run').select('id').execute()
  expect(forgotten).toBe(runs.length - left.length)
  expect(left.map((run) => run.id)).not.toContain(started.id)
  await collect()
  expect([await isStored(leaf), await isStored(log)]).toEqual([false, false])
  expect(statesOf(await runSpine(client))).toEqual(CACHED)
  await expectIntact(client, await releaseSpine(plane, 1))

  const runsDir = join(plane.folder, 'data', 'runs')
  expect(existsSync(join(runsDir, started.id))).toBe(true)
  await removeWorkDirectories(ctx, runsDir, 3_600_000)
  expect(existsSync(join(runsDir, started.id))).toBe(false)
})

test('without cache entries and runs, versions and releases still hold what they name', async () => {
  const { client, ctx } = plane
  const page = digestBytes(Buffer.from('a page of the report'))
  expect(await forgetCacheEntries(ctx, 3_600_000)).toBe(0)
  expect(await forgetCacheEntries(ctx, 0)).toBeGreaterThan(0)
  await forgetRuns(ctx, { ageMs: 0, isHeld: runsOfVersions })
  expect(await ctx.db.selectFrom('pipeline_run').select('id').execute()).toHaveLength(1)
  await collect()
  expect(await isStored(page)).toBe(true)

  await forgetRuns(ctx, { ageMs: 0, isHeld: async () => new Set() })
  expect(await ctx.db.selectFrom('attempt').select('fence').execute()).toEqual([])
  await collect()
  expect(await isStored(page)).toBe(false)
  await expectIntact(client, await releaseSpine(plane, 1))
  const datasets = await ctx.db.selectFrom('dataset_version').select(['digest', 'profile_digest']).execute()
  const validations = await ctx.db.selectFrom('dataset_validation').select('validation_digest').execute()
  const named = [...datasets, ...validations].flatMap((row) => Object.values(row))
  expect(named).toHaveLength(3)
  for (const digest of named) expect(await isStored(String(digest))).toBe(true)

  const letReleasesGo = () => ctx.db.deleteFrom('blob_pin').where('owner', 'like', 'release:%').execute()
  const isModelKept = async () => {
    await collect()
    return isStored(digestBytes(MODEL))
  }
  await letReleasesGo()
  expect(await isModelKept()).toBe(true)
  await releaseSpine(plane, 1)
  await ctx.transaction((tx) => unpinBlobs(tx, 'model-version:echo/1'))
  expect(await isModelKept()).toBe(true)
  await letReleasesGo()
  expect(await isModelKept()).toBe(false)
})

test('predictions go by their age, with the bytes of their segments', async () => {
  const { ctx } = plane
  const segments = await ctx.db.selectFrom('prediction_segment').select('digest').execute()
  expect(await forgetPredictions(ctx, 3_600_000)).toBe(0)
  expect(await forgetPredictions(ctx, 0)).toBe(segments.length)
  await collect()
  for (const { digest } of segments) expect(await isStored(digest)).toBe(false)
})

/** What goes by its age and is there: rows by their keys, and blobs. */
async function listYoung(): Promise<string[]> {
  const { ctx } = plane
  const rows = await sql<{ row: string }>`
    select 'outbox ' || seq as row from outbox
    union all select 'job ' || id from job
    union all select 'pipeline_run ' || id from pipeline_run
    union all select 'cache_entry ' || key from cache_entry
    union all select 'prediction_segment ' || digest from prediction_segment`.execute(ctx.db)
  const young = rows.rows.map(({ row }) => row)
  for await (const { digest } of plane.blobs.list()) young.push(`blob ${digest}`)
  return young
}

/** Rows of long ago, more than a rule takes at once. */
async function layOld(): Promise<void> {
  const { db } = plane.ctx
  await sql`
    insert into prediction_segment (gateway, boot, sequence, digest, size_bytes, records, first_ms, last_ms, received_at)
    select 'old', 'old', n, 'sha256:old', 1, 1, 0, 0, now() - interval '9 years' from generate_series(1, 1001) n`.execute(
    db,
  )
  await sql`
    insert into cache_entry (project, key, pipeline, step, components, outputs, source_run, source_step, created_at)
    select 'default', 'old ' || n, 'p', 's', '{}', '{}', 'r', 's', now() - interval '9 years' from generate_series(1, 1001) n`.execute(
    db,
  )
}

const isOld = (what: string) => /^(prediction_segment sha256:old|cache_entry old )/.test(what)

test('each rule is a job that the control plane runs by itself, to its end, and that leaves what is young', async () => {
  const { ctx } = plane
  await put('a young orphan')
  await runSpine(plane.client)
  await runSpine(plane.client) // nothing is of this one, which came from the cache
  await releaseSpine(plane, 1)
  const before = await listYoung()
  await layOld()
  expect(new Set(before.map((what) => what.split(' ')[0])).size).toBe(6)
  const kinds = [
    'blobs.collect',
    'features.retention',
    'kernel.retention',
    'monitoring.sweep_labels',
    'pipelines.retention',
    'predictions.retention',
  ]
  const scheduled = await sql<{ kind: string }>`select kind from job_schedule order by kind`.execute(ctx.db)
  expect(scheduled.rows.map((row) => row.kind)).toEqual(kinds)
  // Those of the start have ended long ago.
  const ids = await ctx.transaction((tx) => Promise.all(kinds.map((kind) => enqueue(tx, { kind, data: null }))))
  const done = () =>
    ctx.db.selectFrom('job').select('kind').where('id', 'in', ids).where('state', '=', 'done').orderBy('kind').execute()
  await expect.poll(async () => (await done()).map(({ kind }) => kind), { timeout: 30_000 }).toEqual(kinds)
  const after = new Set(await listYoung())
  expect(before.filter((what) => !after.has(what))).toEqual([])
  expect([...after].filter(isOld)).toEqual([])
  expect(await listDeadJobs(ctx, 100)).toEqual([])
})

async function finishedAt(run: string) {
  const row = await plane.ctx.db
    .selectFrom('pipeline_run')
    .select('finished_at')
    .where('id', '=', run)
    .executeTakeFirst()
  return row?.finished_at
}
