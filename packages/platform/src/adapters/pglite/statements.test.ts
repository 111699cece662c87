import { PGlite } from '@electric-sql/pglite'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { openStatements, type Statements } from './statements.ts'

let lite: PGlite
let session: Statements
beforeAll(async () => {
  lite = await PGlite.create()
})
beforeEach(async () => {
  await lite.exec('deallocate all; drop table if exists t; create table t (n int)')
  session = openStatements(lite)
})
afterAll(() => lite.close())

const run = (sql: string) => session.run({ sql, values: [] })
const select = () => run('select * from t')
/** How often each kept statement has run, as the database counts. */
async function kept(): Promise<number[]> {
  const { rows } = await lite.query<{ runs: number }>(
    `select (generic_plans + custom_plans)::int as runs from pg_prepared_statements where statement = 'select * from t'`,
  )
  return rows.map((row) => row.runs)
}

test('a statement is kept once it has run, by transact() too', async () => {
  await select()
  await session.transact([{ sql: 'select * from t', values: [] }])
  expect(await kept()).toEqual([2])
})

test.each(['vacuum t', 'analyze t', 'checkpoint', 'set work_mem = 65536'])('%s forgets nothing', async (sql) => {
  await select()
  await run(sql)
  await select()
  expect(await kept()).toEqual([2])
})

test('a change of the schema forgets what was kept, and no more than that', async () => {
  await select()
  await run('alter table t add m int')
  expect(await kept()).toEqual([])
  await run('insert into t values (1, 2)')
  expect((await select()).rows).toEqual([{ n: 1, m: 2 }])
  expect(await kept()).toEqual([1])
})

test.each(['commit', 'rollback'])('after a change of the schema nothing is kept before %s', async (end) => {
  await run('begin')
  await run('alter table t add m int')
  await select()
  expect(await kept()).toEqual([])
  await run(end)
  await select()
  expect(await kept()).toEqual([1])
})

test('a change of the schema that fails leaves its transaction to be rolled back, and what follows is kept', async () => {
  await run('begin')
  await expect(run('alter table t add n int')).rejects.toMatchObject({ code: '42701' })
  await expect(select()).rejects.toMatchObject({ code: '25P02' })
  await run('rollback')
  await select()
  expect(await kept()).toEqual([1])
})
