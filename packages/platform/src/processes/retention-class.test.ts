import { expect, test } from 'vitest'
import { settings } from '../kernel/config/index.ts'
import { openTestDatabase } from '../kernel/db/database.fixture.ts'
import { describeSchema } from '../kernel/db/schema.fixture.ts'
import { openRetention } from './retention.ts'
import { RETENTION_CLASSES } from './retention-class.ts'

const { retention } = settings.parse({})
const { schedules } = openRetention({ settings: retention } as Parameters<typeof openRetention>[0]) // nothing runs

async function classesOfTables(): Promise<Map<string, string>> {
  const database = await openTestDatabase()
  const lines = await describeSchema(database.ctx.db)
  await database.close()
  return new Map(
    lines.flatMap((line) => {
      const [, table, name] = /^comment (\S+) retention: ([^,;(]+)/.exec(line) ?? []
      return table === undefined || name === undefined ? [] : [[table, name.trim()]]
    }),
  )
}

test('RETENTION_CLASSES has every class that a table names, and no other', async () => {
  const classes = await classesOfTables()
  expect([...new Set(classes.values())].sort()).toEqual(Object.keys(RETENTION_CLASSES).sort())
  expect(Object.fromEntries(classes)).toMatchObject({
    pipeline_run: 'runs',
    step: 'runs',
    tracked_run: 'kept',
    logged_model: 'kept',
    materialization: 'kept',
    gateway_status: 'predictions',
  })
  const ofRuns = [...classes].filter(([, name]) => name === 'runs').map(([table]) => table)
  expect(ofRuns.sort()).toEqual(['attempt', 'edge', 'pipeline_run', 'step'])
})

test('RETENTION_CLASSES names jobs that run and settings that are', () => {
  const jobs = schedules.map(({ kind }) => kind)
  for (const enforcer of Object.values(RETENTION_CLASSES)) {
    if ('kept' in enforcer) continue
    expect(jobs).toContain(enforcer.job)
    if (enforcer.setting !== undefined) expect(retention).toHaveProperty(enforcer.setting)
  }
})
