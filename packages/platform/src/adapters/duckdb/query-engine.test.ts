import { mkdtempSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { queryEngineContract } from '../../../../sdk/src/seams/query-engine.contract.ts'
import { digestFile } from '../../kernel/digest.ts'
import { toQueryError } from './failure.ts'
import { openDuckdbQueryEngine } from './index.ts'

const directory = () => mkdtempSync(join(tmpdir(), 'plimsoll-duckdb-'))

for (const { name, run } of queryEngineContract) {
  test(`openDuckdbQueryEngine() keeps the contract: ${name}`, () =>
    run(async () => {
      const folder = directory()
      return {
        engine: openDuckdbQueryEngine({ tempDirectory: directory(), threads: 2, memoryLimitBytes: 512 * 2 ** 20 }),
        directory: folder,
      }
    }))
}

test('write() gives equal bytes with one thread and with two', async () => {
  const sql = `SELECT i, hash(i) % 1000 AS h, 'row ' || (i % 777) AS s, i / 3.0 AS d, make_timestamp(i * 1000000) AS t FROM range(400000) x(i) ORDER BY h, i`
  const digests = []
  for (const threads of [1, 2, 2]) {
    const engine = openDuckdbQueryEngine({ tempDirectory: directory(), threads })
    const { files } = await engine.write({ sql, inputs: {}, output: { directory: join(directory(), 'out') } })
    digests.push((await digestFile(files[0]!)).digest)
    await engine.close()
  }
  expect(new Set(digests).size).toBe(1)
})

test('rows() refuses what does not fit its memory, spills what does, and leaves its folder empty', async () => {
  const tempDirectory = directory()
  const engine = openDuckdbQueryEngine({ tempDirectory, threads: 1, memoryLimitBytes: 100e6, tempBytesMax: 10e6 })
  const sql = `SELECT max(m) FROM (SELECT i, md5(CAST(i AS VARCHAR)) AS m FROM range(4000000) t(i) ORDER BY m, i)`
  await expect(engine.rows({ sql: sql.replace('max(m)', 'list(m)'), inputs: {} })).rejects.toMatchObject({
    code: 'query.memory',
    kind: 'exhausted',
  })
  await engine.close()
  const roomy = openDuckdbQueryEngine({ tempDirectory, threads: 1, memoryLimitBytes: 150e6 })
  const { rowCount } = await roomy.write({
    sql: `SELECT i, md5(CAST(i AS VARCHAR)) AS m FROM range(2000000) t(i) ORDER BY m, i`,
    inputs: {},
    output: { directory: join(directory(), 'out') },
  })
  expect(rowCount).toBe(2_000_000)
  await roomy.close()
  expect(readdirSync(tempDirectory)).toEqual([])
})

test.each([
  ['query.not_one_select', 'invalid', { sql: 'SELECT 1; SELECT 2' }],
  ['query.not_one_select', 'invalid', { sql: 'CREATE TABLE t (a INTEGER)' }],
  ['query.too_long', 'too_large', { sql: `SELECT 1 ${' '.repeat(4_000_000)}` }],
  ['query.file_refused', 'forbidden', { sql: "SELECT * FROM read_text('/etc/hostname')" }],
  ['query.bad_row_group', 'invalid', { sql: 'SELECT 1', rowGroupRows: 2_047 }],
])('write() refuses with %s, which is %s', async (code, kind, { sql, ...more }) => {
  const engine = openDuckdbQueryEngine({ tempDirectory: directory(), threads: 1 })
  const written = engine.write({ sql, inputs: {}, output: { directory: join(directory(), 'out'), ...more } })
  await expect(written).rejects.toMatchObject({ code, kind })
  await engine.close()
})

test('rows() refuses a column with the name of one that it adds, and reads one with the name that it would give the file', async () => {
  const engine = openDuckdbQueryEngine({ tempDirectory: directory(), threads: 1 })
  const write = async (column: string) => {
    const output = { directory: join(directory(), 'out') }
    return (await engine.write({ sql: `SELECT 7 AS "${column}", 8 AS b`, inputs: {}, output })).files[0]!
  }
  const placed = { format: 'parquet', orderColumn: '__place', fileColumn: 'file' } as const
  const own = await write('__PLACE')
  await expect(
    engine.rows({ sql: 'SELECT b FROM a', inputs: { a: { ...placed, files: [own] } } }),
  ).rejects.toMatchObject({ code: 'query.bad_input', message: expect.stringContaining('"__PLACE" of relation "a"') })
  const columns = { b: { type: 'int32', nullable: false } } as const
  const without = await engine.rows({ sql: 'SELECT * FROM a', inputs: { a: { ...placed, files: [own], columns } } })
  expect(without.rows).toEqual([[8, 0n, 0n]])
  const named = [await write('__PLIMSOLL_FILE'), await write('__plimsoll_file')]
  const { rows } = await engine.rows({
    sql: 'SELECT __plimsoll_file, file FROM a ORDER BY __place',
    inputs: { a: { ...placed, files: named } },
  })
  expect(rows).toEqual([
    [7, 0n],
    [7, 1n],
  ])
  await engine.close()
})

test.each([0, 1])('an abort between two statements of a session stops the next one (%d)', async (check) => {
  const engine = openDuckdbQueryEngine({ tempDirectory: directory(), threads: 1 })
  const controller = new AbortController()
  const { signal } = controller
  const isFine = signal.throwIfAborted.bind(signal)
  let checks = 0
  signal.throwIfAborted = () => {
    isFine()
    if (checks++ === check) queueMicrotask(() => controller.abort(new Error('enough')))
  }
  const sql = 'SELECT sum(a.i * b.i) FROM range(10000000) a(i), range(10000000) b(i)'
  await expect(engine.rows({ sql, inputs: {}, signal })).rejects.toThrow('enough')
  await engine.close()
})

test.each([
  ['INTERNAL Error: Attempted to access index 3', 'internal', 'query.internal'],
  ['FATAL Error: the database has been invalidated', 'internal', 'query.internal'],
  ['Binder Error: column "x" not found', 'invalid', 'query.failed'],
])('toQueryError() tells a fault of the engine from one of the statement: %s', (text, kind, code) => {
  expect(toQueryError(new Error(text), new Map())).toMatchObject({ kind, code })
})
