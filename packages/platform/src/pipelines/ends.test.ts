import { pipelineStep } from '@plimsoll/sdk/wire'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openTestDatabase, type TestDatabase } from '../kernel/db/database.fixture.ts'
import { databaseClock } from '../kernel/db/index.ts'
import { endingAttempts } from './ends.ts'
import { succeededAttempt } from './finished-attempt.fixture.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await openTestDatabase()
})
afterAll(() => database.close())

test('endingAttempts() finds attempt and step by their keys, also in a plan that was made when there were none', async () => {
  const { ctx } = database
  const done = succeededAttempt({
    project: 'default',
    run: 'run_1',
    key: 'fit',
    definition: pipelineStep.parse({ key: 'fit', kind: 'command', params: { argv: ['true'] } }),
    fence: 1n,
    pipeline: 'train',
  })
  const { rows } = await sql<{ 'QUERY PLAN': string }>`explain ${endingAttempts([done], databaseClock)}`.execute(ctx.db)
  const scans = rows.map((row) => row['QUERY PLAN']).filter((line) => /Scan.* on (attempt|step) /.test(line))
  expect(scans.map((line) => line.replace(/^.*(Index Scan using \w+|Seq Scan) on.*$/, '$1'))).toEqual([
    'Index Scan using step_pkey',
    'Index Scan using attempt_pkey',
    'Index Scan using step_pkey',
  ])
})
