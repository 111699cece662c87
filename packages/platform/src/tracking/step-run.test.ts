import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openTestDatabase, type TestDatabase } from '../kernel/db/database.fixture.ts'
import { givenRows } from '../kernel/db/index.ts'
import { createExperiment, findExperimentByName, setExperimentLifecycle } from './experiment.ts'
import { requireTrackedRun, setRunLifecycle } from './run.ts'
import { endingTrackedRuns, newTrackedRunId, startTrackedRuns } from './step-run.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await openTestDatabase()
})
afterAll(() => database.close())

async function start(...experiments: string[]): Promise<string[]> {
  const runs = experiments.map((experiment, index) => ({
    id: newTrackedRunId(),
    experiment,
    name: `step-${index}`,
    tags: { 'plimsoll.step': `${index}` },
  }))
  await database.ctx.transaction((tx) => startTrackedRuns(tx, runs))
  return runs.map(({ id }) => id)
}

test('startTrackedRuns() makes runs in their experiments, absent ones too', async () => {
  const { ctx } = database
  await createExperiment(ctx, { name: 'known' })
  const ids = await start('known', 'fresh', 'known')
  const runs = await Promise.all(ids.map((id) => requireTrackedRun(ctx, id)))
  const fresh = await findExperimentByName(ctx, 'fresh')
  expect(runs.map((run) => run.name)).toEqual(['step-0', 'step-1', 'step-2'])
  expect(runs[1]).toMatchObject({ experiment: fresh?.id, status: 'RUNNING', lifecycle: 'active', user_id: 'plimsoll' })
  expect(runs[1]!.artifact_uri).toBe(`${fresh?.artifact_location}/${ids[1]}/artifacts`)
  expect(runs[2]!.tags.map(({ key, value }) => ({ key, value }))).toEqual([
    { key: 'mlflow.runName', value: 'step-2' },
    { key: 'plimsoll.step', value: '2' },
  ])
  expect(await start()).toEqual([])
})

test('startTrackedRuns() refuses an experiment that was deleted, and makes none', async () => {
  const { ctx } = database
  const id = await createExperiment(ctx, { name: 'gone' })
  await setExperimentLifecycle(ctx, id, 'deleted')
  await expect(start('known', 'gone')).rejects.toMatchObject({
    code: 'tracking.experiment_deleted',
    details: { action: `Restore it: mlflow experiments restore --experiment-id ${id}` },
  })
})

test('endingTrackedRuns() ends each with its status, a deleted one too', async () => {
  const { ctx } = database
  const ids = await start('known', 'known', 'known')
  await setRunLifecycle(ctx, ids[2]!, 'deleted')
  const status = ['FINISHED', 'FAILED', 'FINISHED'] as const
  const rows = ids.map((id, index) => ({ project: ctx.project, id, status: status[index]! }))
  const given = givenRows('d', { project: 'text', id: 'text', status: 'text' }, rows)
  await ctx.transaction((tx) => sql`with ${endingTrackedRuns(tx, sql`select * from ${given}`)} select 1`.execute(tx.db))
  const runs = await Promise.all(ids.map((id) => requireTrackedRun(ctx, id)))
  expect(runs.map((run) => run.status)).toEqual(['FINISHED', 'FAILED', 'FINISHED'])
  expect(runs.map((run) => run.end_ms === null)).toEqual([false, false, false])
})
