import { afterAll, beforeAll, expect, test } from 'vitest'
import { manualClock, realClock } from '../kernel/clock.ts'
import { openTestDatabase, type TestDatabase } from '../kernel/db/database.fixture.ts'
import { randomHex } from '../kernel/ids.ts'
import { createExperiment, findExperimentByName, setExperimentLifecycle } from './experiment.ts'
import { requireTrackedRun, setRunLifecycle } from './run.ts'
import { endTrackedRuns, startTrackedRun } from './step-run.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await openTestDatabase()
})
afterAll(() => database.close())

async function start(experiment: string): Promise<string> {
  const id = randomHex(16)
  const run = { id, experiment, name: 'fit', startMs: 5n, tags: new Map([['plimsoll.step', 'fit']]) }
  await database.ctx.transaction((tx) => startTrackedRun(tx, run))
  return id
}

test('startTrackedRun() makes a run in its experiment, an absent one too', async () => {
  const { ctx } = database
  const known = await createExperiment(ctx, { name: 'known' })
  expect((await requireTrackedRun(ctx, await start('known'))).experiment).toBe(known)
  const id = await start('fresh')
  const fresh = await findExperimentByName(ctx, 'fresh')
  const { tags, ...run } = await requireTrackedRun(ctx, id)
  expect(run).toMatchObject({
    name: 'fit',
    experiment: fresh?.id,
    status: 'RUNNING',
    lifecycle: 'active',
    user_id: 'plimsoll',
    start_ms: 5n,
    artifact_uri: `${fresh?.artifact_location}/${id}/artifacts`,
  })
  expect(tags.map(({ key, value }) => ({ key, value }))).toEqual([
    { key: 'mlflow.runName', value: 'fit' },
    { key: 'plimsoll.step', value: 'fit' },
  ])
})

test('startTrackedRun() refuses an experiment that was deleted', async () => {
  const { ctx } = database
  const id = await createExperiment(ctx, { name: 'gone' })
  await setExperimentLifecycle(ctx, id, 'deleted')
  await expect(start('gone')).rejects.toMatchObject({
    code: 'tracking.experiment_deleted',
    details: { action: `Restore it: mlflow experiments restore --experiment-id ${id}` },
  })
})

test('endTrackedRuns() takes the time that the start has, whatever the clock of the platform says', async () => {
  const ctx = { ...database.ctx, clock: manualClock(Date.parse('2001-04-12T00:00:00Z')) }
  const started = BigInt(Math.floor(realClock.nowMs())) - 60_000n
  const run = { id: randomHex(16), experiment: 'replayed', name: 'fit', startMs: started, tags: new Map() }
  await ctx.transaction((tx) => startTrackedRun(tx, run))
  await endTrackedRuns(ctx, [{ id: run.id, status: 'FINISHED' }])
  const { end_ms: ended } = await requireTrackedRun(database.ctx, run.id)
  expect(Number(ended! - started)).toBeGreaterThanOrEqual(59_000)
})

test('endTrackedRuns() ends each with its status, a deleted one too', async () => {
  const { ctx } = database
  const ids = [await start('known'), await start('known'), await start('known')]
  await setRunLifecycle(ctx, ids[2]!, 'deleted')
  const status = ['FINISHED', 'FAILED', 'FINISHED'] as const
  await endTrackedRuns(
    ctx,
    ids.map((id, index) => ({ id, status: status[index]! })),
  )
  const runs = await Promise.all(ids.map((id) => requireTrackedRun(ctx, id)))
  expect(runs.map((run) => run.status)).toEqual(['FINISHED', 'FAILED', 'FINISHED'])
  expect(runs.map((run) => run.end_ms === null)).toEqual([false, false, false])
})
