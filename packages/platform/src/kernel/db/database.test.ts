import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { suiteWith } from '../../../../../tests/servers.ts'
import { openPostgres } from '../../adapters/postgres/backend.ts'
import { startCluster } from '../../adapters/postgres/cluster.fixture.ts'
import { migrateTestDatabase, openTestDatabase, type TestDatabase } from './database.fixture.ts'
import { declareEvents, openContext, type Tx } from './index.ts'
import './test-events.fixture.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await openTestDatabase()
})
afterAll(() => database.close())

test('transaction() commits rows and events together, and a nested call joins', async () => {
  await database.ctx.transaction(async (tx) => {
    await tx.emit({ type: 'test.happened', subject: 'a', data: { n: 1 } })
    await tx.transaction(async (inner) => inner.emit({ type: 'test.happened', subject: 'b', data: null }))
  })
  expect((await database.events()).map((event) => event.subject)).toEqual(['a', 'b'])
})

test('transaction() leaves nothing when the work throws', async () => {
  await database.clear()
  const failed = database.ctx.transaction(async (tx) => {
    await tx.emit({ type: 'test.happened', subject: 'a', data: null })
    throw new Error('no')
  })
  await expect(failed).rejects.toThrow('no')
  expect(await database.events()).toEqual([])
})

async function refusesTheRootHandle({ ctx }: TestDatabase): Promise<void> {
  const failed = ctx.transaction(async () => ctx.db.selectFrom('outbox').selectAll().execute())
  await expect(failed).rejects.toMatchObject({ code: 'db.root_inside_transaction' })
}

test('a query on the root handle inside a transaction is an error, not a hang', () => refusesTheRootHandle(database))

suiteWith('postgres', 'database on PostgreSQL', (initdb) => {
  test('a query on the root handle inside a transaction is an error, not a hang', async () => {
    await using stack = new AsyncDisposableStack()
    const cluster = await startCluster(initdb)
    stack.defer(() => cluster.close())
    // Beyond the guard the query would wait for the connection that its own transaction has.
    const backend = await openPostgres({ url: await cluster.createDatabase(), poolSize: 1 })
    const onPostgres = await migrateTestDatabase(backend)
    stack.defer(() => onPostgres.close())
    await refusesTheRootHandle(onPostgres)
  })
})

test('emit() writes no event that is not declared, or whose data do not fit; most of it the types refuse', async () => {
  await database.clear()
  const refusals: [(tx: Tx) => Promise<void>, string][] = [
    // @ts-expect-error: nobody declares the type
    [(tx) => tx.emit({ type: 'test.never', subject: 'a', data: null }), 'Event "test.never" is not declared'],
    // @ts-expect-error: data of another type
    [(tx) => tx.emit({ type: 'test.counted', subject: 'a', data: null }), 'Cannot emit event "test.counted"'],
    // @ts-expect-error: a member that the schema does not have
    [(tx) => tx.emit({ type: 'test.counted', subject: 'a', data: { n: 1, m: 1 } }), 'Unrecognized key: "m"'],
    [(tx) => tx.emit({ type: 'test.counted', subject: 'a', data: { n: 0.5 } }), '/n Invalid input: expected int'],
  ]
  for (const [emit, expected] of refusals) await expect(database.ctx.transaction(emit)).rejects.toThrow(expected)
  expect(await database.events()).toEqual([])
  await database.ctx.transaction((tx) => tx.emit({ type: 'test.counted', subject: 'a', data: { n: 1 } }))
  expect(await database.events()).toEqual([{ type: 'test.counted', subject: 'a', data: { n: 1 } }])
})

test('declareEvents() takes a name of the form domain.what_happened once', () => {
  const event = { happened: 'Nothing', subject: 'nothing', data: z.null() }
  expect(() => declareEvents({ 'test.Happened': event })).toThrow('not named domain.what_happened')
  expect(() => declareEvents({ 'test.happened': event })).toThrow('declared twice')
})

test('a query is not streamed: what is long is paged', async () => {
  const streamed = database.ctx.db.selectFrom('outbox').selectAll().stream()[Symbol.asyncIterator]().next()
  await expect(streamed).rejects.toMatchObject({ kind: 'unsupported', code: 'db.no_streaming' })
})

test('a statement that waits behind one that fails does not outlive the transaction', async () => {
  await database.clear()
  let over: Promise<unknown> | undefined
  const row = (subject: string) => ({ project: 'default', type: 'test.happened', subject, data: 'null' })
  const failed = database.ctx.transaction(async (tx) => {
    const broken = sql`select 1 / 0`.execute(tx.db)
    const [second, third] = [
      tx.db.insertInto('outbox').values(row('b')).execute(),
      tx.db.insertInto('outbox').values(row('c')).execute(),
    ]
    over = third.catch((error: { code: string }) => error.code)
    await Promise.all([broken, second, third])
  })
  await expect(failed).rejects.toMatchObject({ code: '22012' })
  expect(await over).toBe('db.transaction_over')
  await database.ctx.transaction((tx) => tx.emit({ type: 'test.happened', subject: 'a', data: null }))
  expect((await database.events()).map((event) => event.subject)).toEqual(['a'])
})

const inserting = (subject: string) =>
  sql<{
    seq: bigint
  }>`insert into outbox (project, type, subject, data) values ('default', 'test.happened', ${subject}, 'null') returning seq`

test('together() commits all or nothing, and gives the rows of each', async () => {
  await database.clear()
  const counting = sql<{ n: bigint }>`select count(*) as n from outbox`
  const [made, counted] = await database.ctx.together([inserting('a'), counting])
  expect([made, counted]).toEqual([[{ seq: expect.any(BigInt) }], [{ n: 1n }]])
  await expect(database.ctx.together([inserting('b'), sql`select 1 / 0`])).rejects.toMatchObject({ code: '22012' })
  expect((await database.events()).map((event) => event.subject)).toEqual(['a'])
})

test('together() joins the transaction that it is called in; the root handle may not', async () => {
  await database.clear()
  const failed = database.ctx.transaction(async (tx) => {
    await tx.together([inserting('a'), inserting('b')])
    throw new Error('no')
  })
  await expect(failed).rejects.toThrow('no')
  expect(await database.events()).toEqual([])
  const outside = database.ctx.transaction(() => database.ctx.together([inserting('a')]))
  await expect(outside).rejects.toMatchObject({ code: 'db.root_inside_transaction' })
})

test('emitted() asks for dispatch at once, in a transaction after its commit', async () => {
  const seen: string[] = []
  const { ctx } = database
  const listening = openContext({ ...ctx, backend: database.backend, onEvents: () => seen.push('asked') })
  listening.emitted()
  expect(seen).toEqual(['asked'])
  await listening.transaction(async (tx) => {
    await tx.emit({ type: 'test.happened', subject: 'a', data: null })
    tx.emitted()
    seen.push('written')
  })
  expect(seen).toEqual(['asked', 'written', 'asked'])
})

test('int8 arrives as bigint and timestamptz as Date', async () => {
  await database.ctx.transaction((tx) => tx.emit({ type: 'test.happened', subject: 'a', data: null }))
  const row = await database.ctx.db.selectFrom('outbox').selectAll().executeTakeFirstOrThrow()
  expect(typeof row.seq).toBe('bigint')
  expect(row.at).toBeInstanceOf(Date)
})
