import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BlobStore } from '@plimsoll/sdk/seams'
import { sql } from 'kysely'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { openFilesBlobStore } from '../adapters/files/index.ts'
import { openTestDatabase, type TestDatabase } from '../kernel/db/database.fixture.ts'
import { type Context, type ShiftedDatabaseClock, shiftedDatabaseClock } from '../kernel/db/index.ts'
import { declareSchedule, type JobRunner, openJobRunner } from '../kernel/jobs/index.ts'
import { AT_MS, recordOf, shipSegment } from '../serving/control/segment.fixture.ts'
import { openLabelJoin, recordLabels } from './index.ts'
import { requestJoin } from './join-job.ts'

const HOUR_MS = 3_600_000
const directory = mkdtempSync(join(tmpdir(), 'plimsoll-join-'))
let database: TestDatabase
let ctx: Context
let blobs: BlobStore
let time: ShiftedDatabaseClock
let runner: JobRunner | undefined
beforeAll(async () => {
  database = await openTestDatabase()
  ctx = database.ctx
  blobs = await openFilesBlobStore(directory)
})
beforeEach(async () => {
  await database.clear()
  time = shiftedDatabaseClock()
})
afterEach(async () => {
  await runner?.close(0)
})
afterAll(async () => {
  await blobs.close()
  await database.close()
  rmSync(directory, { recursive: true, force: true })
})

/** The jobs as the control plane runs them, on a clock that `pass` moves: labels grow older by as much. */
async function open(): Promise<{ pass(ms: number): Promise<void> }> {
  const { handlers, schedules } = openLabelJoin(blobs)
  await ctx.transaction(async (tx) => {
    for (const schedule of schedules) await declareSchedule(tx, schedule)
  })
  const opened = openJobRunner(ctx, handlers, { pollMs: HOUR_MS, leaseMs: HOUR_MS, clock: time.clock })
  runner = opened
  return {
    async pass(ms) {
      time.advance(ms)
      const ago = sql`${ms}::float8 * interval '1 millisecond'`
      await sql`update prediction_label set received_at = received_at - ${ago}, due_at = due_at - ${ago}`.execute(
        ctx.db,
      )
      // Due schedules add their jobs, which add others.
      for (let turn = 0; turn < 3; turn++) await opened.settle()
    },
  }
}

const say = (prediction: string, project = 'default') =>
  ctx.as({ project }).transaction(async (tx) => {
    await recordLabels(tx, [{ prediction, row: 0, label: 1, knownAtMs: AT_MS + 1 }])
    await requestJoin(tx)
  })
const joined = async () =>
  (await ctx.db.selectFrom('outcome').select(['prediction', 'score']).execute())
    .filter(({ score }) => !Number.isNaN(score))
    .map(({ prediction }) => prediction)
const lookups = async () =>
  Number(
    (
      await ctx.db
        .selectFrom('job')
        .select((eb) => eb.fn.countAll().as('n'))
        .where('kind', '=', 'monitoring.join_labels')
        .executeTakeFirstOrThrow()
    ).n,
  )

test('a label that came before its prediction is joined without anyone looking', async () => {
  const { pass } = await open()
  const record = recordOf()
  await say(record.id)
  await pass(3_000)
  expect(await joined()).toEqual([])
  await shipSegment(ctx, blobs, [record])
  await pass(5_000)
  expect(await joined()).toEqual([])
  await pass(90_000)
  expect(await joined()).toEqual([record.id])
})

test('a label that comes at the end of a join, whose request is taken for that one, is joined by the sweep', async () => {
  const { pass } = await open()
  const record = recordOf()
  await shipSegment(ctx, blobs, [record])
  // The key of the join that runs is taken, so that no job is added, and that one has read its last batch.
  const labels = [{ prediction: record.id, row: 0, label: 1, knownAtMs: AT_MS }]
  await ctx.transaction((tx) => recordLabels(tx, labels))
  await pass(61_000)
  expect(await joined()).toEqual([record.id])
})

test('a batch of which nothing is joined does not end the join', async () => {
  const { pass } = await open()
  const silent = Array.from({ length: 2_000 }, () => recordOf({ outputs: undefined }))
  const record = recordOf()
  await shipSegment(ctx, blobs, [...silent, record])
  const labels = silent.map(({ id }) => ({ prediction: id, row: 0, label: 1, knownAtMs: AT_MS }))
  await ctx.transaction((tx) => recordLabels(tx, labels))
  await say(record.id)
  await pass(3_000)
  expect(await joined()).toEqual([record.id])
})

test('a label whose prediction never comes is looked up more and more seldom, in every project', async () => {
  const { pass } = await open()
  await say(recordOf().id, 'second')
  await pass(3_000)
  const counts: number[] = []
  for (let hour = 0; hour < 24; hour++) {
    const before = await lookups()
    for (let minute = 0; minute < 6; minute++) await pass(10 * 60_000)
    counts.push((await lookups()) - before)
  }
  expect(counts[0]).toBeGreaterThanOrEqual(2)
  expect(counts.slice(12).reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(3)
  expect(counts.slice(12).some((count) => count > 0)).toBe(true)
})
