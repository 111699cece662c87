import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { suiteWith } from '../../../../../tests/servers.ts'
import { MIGRATIONS } from '../../../migrations/all.ts'
import { startCluster, type TestCluster } from '../../adapters/postgres/cluster.fixture.ts'
import { openPostgres } from '../../adapters/postgres/index.ts'
import { openTestDatabase, type TestDatabase } from './database.fixture.ts'
import { layDatabase } from './database-template.fixture.ts'
import { type Context, migrate, openDatabase, type SqlBackend } from './index.ts'
import { cutting, describeSchema } from './schema.fixture.ts'

// Children that start a database each; a loaded machine takes its time.
vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 })

const run = promisify(execFile)
const SCRIPT = new URL('./killed-migration.fixture.ts', import.meta.url).pathname
/** Statements of one start of an empty database, roughly: points of death are spread over them. */
const DEATHS = [2, 31, 90, 140]

let head: string[]
let fresh: TestDatabase
beforeAll(async () => {
  fresh = await openTestDatabase()
  head = await describeSchema(fresh.ctx.db)
})
afterAll(() => fresh.close())

test('every table says how long its rows are kept, and all but a named few belong to a project', async () => {
  const tables = head.filter((line) => line.startsWith('comment '))
  expect(tables.filter((line) => !/retention: /.test(line))).toEqual([])
  const names = tables.map((line) => line.split(' ')[1]!)
  const ofProject = new Set(head.flatMap((line) => /^column (\S+) project /.exec(line)?.[1] ?? []))
  expect(names.filter((name) => !ofProject.has(name)).sort()).toEqual([
    'blob_collected',
    'ledger_mark',
    'ledger_pending',
    'ledger_seal',
    'migration',
    'outbox_consumer',
    'outbox_head',
  ])
})

/** Of a database that is migrated; `9998` is what this release would still apply. */
async function refusesNewer(db: Context['db'], backend: SqlBackend): Promise<void> {
  await sql`insert into migration (name) values ('9999-later')`.execute(db)
  const applied = () => sql<{ name: string }>`select * from migration order by name`.execute(db)
  const before = await applied()
  const next = { name: '9998-next', up: (tx: Context['db']) => tx.schema.dropTable('outbox').execute() }
  await expect(migrate(db, backend, [...MIGRATIONS, next])).rejects.toMatchObject({
    kind: 'precondition',
    code: 'db.schema_too_new',
    message: expect.stringContaining('9999-later'),
    details: { action: expect.stringContaining('newer release') },
  })
  expect((await applied()).rows).toEqual(before.rows)
  expect(await describeSchema(db)).toEqual(head)
}

test('migrate() refuses a database that a newer release has migrated, and changes nothing', () =>
  refusesNewer(fresh.ctx.db, fresh.backend))

test('migrations killed at points all over, one after another in one PGlite directory, complete at the next start', async () => {
  const root = await mkdtemp(join(tmpdir(), 'plimsoll-migrate-'))
  await layDatabase(join(root, 'database'), { isMigrated: false })
  const deaths: unknown[] = []
  for (const at of DEATHS) {
    const ended = await run(process.execPath, [SCRIPT, join(root, 'database'), String(at)]).catch((error) => error)
    deaths.push(ended.signal)
  }
  expect(deaths).toContain('SIGKILL')
  const { stdout } = await run(process.execPath, [SCRIPT, join(root, 'database')])
  expect(JSON.parse(stdout)).toEqual(head)
  await rm(root, { recursive: true })
})

suiteWith('postgres', 'migrations on PostgreSQL', (initdb) => {
  let cluster: TestCluster
  beforeAll(async () => {
    cluster = await startCluster(initdb)
  })
  afterAll(() => cluster?.close())

  test('give the same schema as on PGlite, and refuse that of a newer release', async () => {
    const backend = await openPostgres({ url: await cluster.createDatabase() })
    const db = openDatabase(backend)
    await migrate(db, backend, MIGRATIONS)
    expect(await describeSchema(db)).toEqual(head)
    expect(await migrate(db, backend, MIGRATIONS)).toEqual([])
    await refusesNewer(db, backend)
    await db.destroy()
  })

  test('cut at each statement of each migration, they complete', async () => {
    let at = 0
    let cuts = 0
    const inner = await openPostgres({ url: await cluster.createDatabase(), poolSize: 2 })
    const backend = cutting(inner, {
      at: () => at,
      cut: async (pid) => {
        cuts++
        await cluster.run(`select pg_terminate_backend(${Number(pid)})`)
      },
    })
    const db = openDatabase(backend)
    const survives = (count: number) =>
      migrate(db, backend, MIGRATIONS.slice(0, count)).then(
        () => true,
        (error) => {
          if (error.kind !== 'unavailable') throw error
          return false
        },
      )
    for (let count = 1; count <= MIGRATIONS.length; count++) {
      // To look at what is applied already takes four statements; later cuts fall into the one that is not.
      at = count === 1 ? 1 : 5
      while (!(await survives(count))) at++
    }
    expect(cuts).toBeGreaterThan(150)
    at = 0
    expect(await describeSchema(db)).toEqual(head)
    await db.destroy()
  })
})
