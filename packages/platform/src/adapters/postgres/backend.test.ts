import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { suiteWith } from '../../../../../tests/servers.ts'
import { SQL_BACKEND_CONTRACT } from '../../kernel/db/backend.contract.ts'
import type { SqlBackend } from '../../kernel/db/backend.ts'
import { migrateTestDatabase } from '../../kernel/db/database.fixture.ts'
import type { Context } from '../../kernel/db/index.ts'
import '../../kernel/db/test-events.fixture.ts'
import { toPlimsollError } from '../../kernel/errors.ts'
import { isConnectionLost, openPostgres, type PostgresOptions } from './backend.ts'
import { startCluster, type TestCluster } from './cluster.fixture.ts'

/** Reads the counter, lets others work, and writes one more: serializable, so that whoever wrote between is not undone. */
function addOne(ctx: Context, onRead: () => Promise<unknown>): Promise<void> {
  return ctx.transaction(async (tx) => {
    await sql`set transaction isolation level serializable`.execute(tx.db)
    const { rows } = await sql<{ n: number }>`select n from counter`.execute(tx.db)
    await onRead()
    await sql`update counter set n = ${rows[0]!.n + 1}`.execute(tx.db)
  })
}

test('isConnectionLost() tells codes of the system and of a server that goes from those of statements', () => {
  const isLost = (code: unknown) => isConnectionLost(Object.assign(new Error('of the driver'), { code }))
  expect(['EPIPE', 'ECONNRESET', 'ETIMEDOUT', '57P01', '08006', undefined].filter((code) => !isLost(code))).toEqual([])
  expect(['23505', '40001', '57014', 'P0001', 'XX000', 'HV000', 'F0000'].filter(isLost)).toEqual([])
})

suiteWith('postgres', 'PostgreSQL backend', (initdb) => {
  let cluster: TestCluster
  const opened: SqlBackend[] = []
  beforeAll(async () => {
    cluster = await startCluster(initdb)
  })
  afterAll(async () => {
    for (const backend of opened) await backend.close()
    await cluster?.close()
  })
  const open = async (options: Omit<PostgresOptions, 'url'> = {}) => {
    const backend = await openPostgres({ url: await cluster.createDatabase(), ...options })
    opened.push(backend)
    return backend
  }

  test.each(SQL_BACKEND_CONTRACT)('contract: $name', ({ run }) => run(() => open()))

  test('a terminated connection is unavailable once, and the next query works', async () => {
    const backend = await open({ poolSize: 1 })
    const session = await backend.acquire()
    const { rows } = await session.query('select pg_backend_pid() as pid', [])
    await cluster.run(`select pg_terminate_backend(${rows[0]!.pid})`)
    await expect(session.query('select 1', [])).rejects.toMatchObject({ kind: 'unavailable', code: 'db.unavailable' })
    await session.release()
    const next = await backend.acquire()
    expect((await next.query('select 1 as n', [])).rows).toEqual([{ n: 1 }])
    await next.release()
  })

  test('a transaction whose connection is cut is unavailable, and leaves nothing', async () => {
    const database = await migrateTestDatabase(await open())
    const cut = database.ctx.transaction(async (tx) => {
      await tx.emit({ type: 'test.happened', subject: 'a', data: null })
      const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(tx.db)
      await cluster.run(`select pg_terminate_backend(${rows[0]!.pid})`)
      await tx.emit({ type: 'test.happened', subject: 'b', data: null })
    })
    await expect(cut).rejects.toMatchObject({ kind: 'unavailable' })
    expect(await database.events()).toEqual([])
  })

  test('statement and lock timeouts carry their SQLSTATE', async () => {
    const backend = await open({ statementTimeoutMs: 300, lockTimeoutMs: 100 })
    const [one, two] = [await backend.acquire(), await backend.acquire()]
    await expect(one.query('select pg_sleep(5)', [])).rejects.toMatchObject({ code: '57014' })
    await one.query('create table t (n int8)', [])
    await one.query('begin', [])
    await one.query('lock table t', [])
    await expect(two.query('select * from t', [])).rejects.toMatchObject({ code: '55P03' })
    await one.query('rollback', [])
    await Promise.all([one.release(), two.release()])
  })

  test('a full pool is overloaded, not a hang', async () => {
    const backend = await open({ poolSize: 1, acquireTimeoutMs: 3_000 })
    const session = await backend.acquire()
    await expect(backend.acquire()).rejects.toMatchObject({ kind: 'overloaded', code: 'db.pool_exhausted' })
    await session.release()
    await (await backend.acquire()).release()
  })

  test('transactions that collide are retried until both have happened', async () => {
    const database = await migrateTestDatabase(await open())
    const { ctx } = database
    await sql`create table counter (id int primary key, n int)`.execute(ctx.db)
    await sql`insert into counter values (1, 0), (2, 0)`.execute(ctx.db)
    const lockBoth = (first: number, second: number) =>
      ctx.transaction(async (tx) => {
        await sql`update counter set n = n + 1 where id = ${first}`.execute(tx.db)
        await sql`select pg_sleep(0.05)`.execute(tx.db)
        await sql`update counter set n = n + 1 where id = ${second}`.execute(tx.db)
      })
    await Promise.all([lockBoth(1, 2), lockBoth(2, 1)])
    const { rows } = await sql<{ n: number }>`select n from counter order by id`.execute(ctx.db)
    expect(rows).toEqual([{ n: 2 }, { n: 2 }])
  })

  test('serializable transactions that collide are retried until both have happened', async () => {
    const { ctx } = await migrateTestDatabase(await open())
    await sql`create table counter as select 0 as n`.execute(ctx.db)
    const { promise: bothHaveRead, resolve } = Promise.withResolvers<void>()
    let reads = 0
    const onRead = () => {
      if (++reads === 2) resolve()
      return bothHaveRead
    }
    await Promise.all([addOne(ctx, onRead), addOne(ctx, onRead)])
    expect((await sql`select n from counter`.execute(ctx.db)).rows).toEqual([{ n: 2 }])
    expect(reads).toBe(3)
  })

  test('a transaction that always collides gives up, as an error of the house', async () => {
    const { ctx, backend } = await migrateTestDatabase(await open())
    await sql`create table counter as select 0 as n`.execute(ctx.db)
    const rival = await backend.acquire()
    let attempts = 0
    const failure = await addOne(ctx, () => {
      attempts++
      return rival.query('update counter set n = 100', [])
    }).catch(toPlimsollError)
    await rival.release()
    expect(failure).toMatchObject({ kind: 'unavailable', code: 'db.serialization' })
    expect(attempts).toBe(4)
    expect((await sql`select n from counter`.execute(ctx.db)).rows).toEqual([{ n: 100 }])
  })

  test('a statement that waits behind one that fails does not outlive the transaction', async () => {
    const database = await migrateTestDatabase(await open())
    const { ctx } = database
    await sql`create table t (n int)`.execute(ctx.db)
    const failed = ctx.transaction(async (tx) => {
      const texts = [sql`select 1 / 0`, sql`insert into t values (2)`, sql`insert into t values (3)`]
      await Promise.all(texts.map((text) => text.execute(tx.db)))
    })
    await expect(failed).rejects.toMatchObject({ code: '22012' })
    await ctx.transaction((tx) => sql`insert into t values (1)`.execute(tx.db))
    expect((await sql`select n from t`.execute(ctx.db)).rows).toEqual([{ n: 1 }])
  })

  test('a backend that was closed is unavailable', async () => {
    const backend = await open()
    await backend.close()
    await expect(backend.acquire()).rejects.toMatchObject({ kind: 'unavailable', code: 'db.closed' })
  })

  test('a server that is down is unavailable, and the same pool works after its restart', async () => {
    const backend = await open()
    await cluster.stop()
    await expect(backend.acquire()).rejects.toMatchObject({ kind: 'unavailable' })
    await expect(openPostgres({ url: 'postgres://plimsoll@127.0.0.1:1/none' })).rejects.toMatchObject({
      kind: 'unavailable',
    })
    await cluster.start()
    const session = await backend.acquire()
    expect((await session.query('select 1 as n', [])).rows).toEqual([{ n: 1 }])
    await session.release()
  })

  test('two processes that migrate at once apply each migration once', async () => {
    const url = await cluster.createDatabase()
    const backends = await Promise.all([openPostgres({ url }), openPostgres({ url })])
    opened.push(...backends)
    await Promise.all(backends.map((backend) => migrateTestDatabase(backend)))
  })
})
