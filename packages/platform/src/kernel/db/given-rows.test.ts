import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openTestDatabase, type TestDatabase } from './database.fixture.ts'
import { givenRows } from './given-rows.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await openTestDatabase()
})
afterAll(() => database.close())

const COLUMNS = { a: 'text', b: 'int4', c: 'int8', d: 'jsonb' } as const

test.each([1, 3])('givenRows() makes a table of %i rows, absent values null and texts of JSON texts', async (count) => {
  const rows = [
    { a: "it's", b: 1, c: 9_007_199_254_740_993n, d: { x: [1, null] } },
    { a: null, b: null, c: null, d: null },
    { a: '', b: undefined, c: 0n, d: 'text' },
  ].slice(0, count)
  const read = await sql`select * from ${givenRows('d', COLUMNS, rows)}`.execute(database.ctx.db)
  expect(read.rows).toEqual(rows.map((row) => ({ ...row, b: row.b ?? null })))
})
