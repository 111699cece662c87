import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, test } from 'vitest'
import { isThorough, suiteWith } from '../../../../tests/servers.ts'
import { openPostgres } from '../adapters/postgres/backend.ts'
import { startCluster, type TestCluster } from '../adapters/postgres/cluster.fixture.ts'
import { migrateTestDatabase, openTestDatabase, type TestDatabase } from '../kernel/db/database.fixture.ts'
import { RUN_STORE_CONTRACT } from './run-store.contract.ts'
import { openSqlRunStore, type SqlRunStore } from './run-store.fixture.ts'
import { compareStores, schedule } from './run-store-schedule.fixture.ts'
import { openRunStoreTwin } from './run-store-twin.fixture.ts'

describe('run store in memory', () => {
  test.each(RUN_STORE_CONTRACT)('contract: $name', ({ run }) => run(openRunStoreTwin()))
})

interface Subject {
  database: TestDatabase
  store: SqlRunStore
}

function declareCases(subject: Subject, schedules: number) {
  beforeEach(() => subject.store.clear())
  test.each(RUN_STORE_CONTRACT)('contract: $name', ({ run }) => run(subject.store))

  test('after each move of a schedule all that can be seen is what the twin in memory has', async () => {
    const isEqual = fc.asyncProperty(schedule, async (moves) => {
      await subject.store.clear()
      await compareStores([openRunStoreTwin(), subject.store], moves)
    })
    // A failure is made shorter for as long as the test may take, then it is told.
    await fc.assert(isEqual, { numRuns: schedules, interruptAfterTimeLimit: 90_000, markInterruptAsFailure: true })
  })
}

describe('run store on PGlite', () => {
  const subject = {} as Subject // filled before the first test
  beforeAll(async () => {
    subject.database = await openTestDatabase()
    subject.store = openSqlRunStore(subject.database)
  })
  afterAll(() => subject.database.close())
  declareCases(subject, isThorough ? 60 : 30)
})

suiteWith('postgres', 'run store on PostgreSQL', (initdb) => {
  const subject = {} as Subject // filled before the first test
  let cluster: TestCluster
  beforeAll(async () => {
    cluster = await startCluster(initdb)
    subject.database = await migrateTestDatabase(await openPostgres({ url: await cluster.createDatabase() }))
    subject.store = openSqlRunStore(subject.database)
  })
  afterAll(async () => {
    await subject.database?.close()
    await cluster?.close()
  })
  declareCases(subject, isThorough ? 60 : 10)
})
