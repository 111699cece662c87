import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { QueryEngine } from './query-engine.ts'

/** An engine under test with an empty folder that it may use; `open` is called once per case. */
export interface QueryEngineBench {
  readonly engine: QueryEngine
  readonly directory: string
}

/** One rule that every query engine keeps. */
export interface QueryEngineCase {
  readonly name: string
  run(open: () => Promise<QueryEngineBench>): Promise<void>
}

const ORDERED = `SELECT a.i AS i, a.i % 7 AS k, 'row ' || (a.i % 777) AS s, a.i / 3.0 AS d FROM a ORDER BY k, i`

async function numbers(bench: QueryEngineBench, count: number, name = 'numbers'): Promise<string> {
  const sql = `SELECT i FROM range(${count}) t(i) ORDER BY i`
  const { files } = await bench.engine.write({ sql, inputs: {}, output: { directory: join(bench.directory, name) } })
  return files[0]!
}

async function digest(file: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(file))
    .digest('hex')
}

function refused(code: string) {
  return (error: unknown) => (error as { code?: unknown }).code === code
}

/** The contract of `QueryEngine`: run every case against an adapter. */
export const queryEngineContract: readonly QueryEngineCase[] = [
  {
    name: 'rows returns cells of every kind without loss',
    async run(open) {
      const { engine } = await open()
      const sql = `SELECT CAST(9007199254740993 AS BIGINT), CAST('170141183460469231731687303715884105727' AS HUGEINT), CAST(1.50 AS DECIMAL(10,2)),
        CAST('nan' AS DOUBLE), CAST('-inf' AS DOUBLE), TIMESTAMPTZ '2001-01-01 00:00:00.000001+00', DATE '2001-02-03', CAST('ab' AS BLOB), [1, NULL], NULL, true, 'é🦆'`
      const { columns, rows } = await engine.rows({ sql, inputs: {} })
      const [big, huge, decimal, nan, infinity, instant, day, blob, list, nothing, yes, word] = rows[0]!
      assert.deepEqual(
        [big, huge, decimal, infinity, instant, day, list, nothing, yes, word],
        [
          9007199254740993n,
          170141183460469231731687303715884105727n,
          '1.50',
          Number.NEGATIVE_INFINITY,
          978307200000001n,
          '2001-02-03',
          [1, null],
          null,
          true,
          'é🦆',
        ],
      )
      assert.ok(Number.isNaN(nan))
      assert.deepEqual([...(blob as Uint8Array)], [97, 98])
      assert.equal(columns.length, 12)
      await engine.close()
    },
  },
  {
    name: 'rows binds values and never reads them as SQL',
    async run(open) {
      const { engine } = await open()
      const hostile = `'; DROP TABLE a; --`
      const { rows } = await engine.rows({
        sql: 'SELECT $1 AS a, $2 + 1 AS b, $3 AS c, $4 AS d',
        inputs: {},
        values: [hostile, 41n, null, true],
      })
      assert.deepEqual(rows, [[hostile, 42n, null, true]])
      await engine.close()
    },
  },
  {
    name: 'rows gives no row for an empty result, and refuses more than rowsMax',
    async run(open) {
      const { engine } = await open()
      assert.deepEqual((await engine.rows({ sql: 'SELECT 1 AS a WHERE false', inputs: {} })).rows, [])
      assert.equal((await engine.rows({ sql: 'SELECT * FROM range(10)', inputs: {}, rowsMax: 10 })).rows.length, 10)
      await assert.rejects(
        engine.rows({ sql: 'SELECT * FROM range(11)', inputs: {}, rowsMax: 10 }),
        refused('query.too_many_rows'),
      )
      await engine.close()
    },
  },
  {
    name: 'one SELECT only: scripts, writes and settings are refused',
    async run(open) {
      const { engine } = await open()
      for (const sql of [
        'SELECT 1; SELECT 2',
        'CREATE TABLE a (i INTEGER)',
        'SET threads = 1',
        'PRAGMA database_list; SELECT 1',
        '',
      ]) {
        await assert.rejects(engine.rows({ sql, inputs: {} }), sql)
      }
      await engine.close()
    },
  },
  {
    name: 'a statement reads its inputs and no other file',
    async run(open) {
      const bench = await open()
      const known = await numbers(bench, 3)
      const other = await numbers(bench, 3, 'other')
      const text = join(bench.directory, 'secret.txt')
      await writeFile(text, 'secret')
      const inputs = { a: { format: 'parquet' as const, files: [known] } }
      for (const sql of [
        `SELECT * FROM read_parquet('${other}')`,
        `SELECT * FROM '${other}'`,
        `SELECT * FROM read_text('${text}')`,
        `SELECT * FROM glob('${bench.directory}/*')`,
      ]) {
        await assert.rejects(bench.engine.rows({ sql, inputs }), sql)
      }
      assert.deepEqual((await bench.engine.rows({ sql: 'SELECT count(*) FROM a', inputs })).rows, [[3n]])
      await bench.engine.close()
    },
  },
  {
    name: 'names of files are literal: quotes, wildcards and brackets read that file only',
    async run(open) {
      const bench = await open()
      const plain = await numbers(bench, 2)
      await writeFile(join(bench.directory, 'x1.parquet'), await readFile(await numbers(bench, 5, 'five')))
      for (const name of [
        "it's.parquet",
        'x*.parquet',
        'x[1].parquet',
        'x?.parquet',
        'a b;--.parquet',
        'ü🦆.parquet',
        '{x1,y}.parquet',
        '$1.parquet',
      ]) {
        const file = join(bench.directory, name)
        await writeFile(file, await readFile(plain))
        const { rows } = await bench.engine.rows({
          sql: 'SELECT count(*) FROM a',
          inputs: { a: { format: 'parquet', files: [file] } },
        })
        assert.deepEqual(rows, [[2n]], name)
      }
      await bench.engine.close()
    },
  },
  {
    name: 'typed columns: naive CSV times become instants, other columns stay out',
    async run(open) {
      const bench = await open()
      const file = join(bench.directory, 'a.csv')
      await writeFile(file, 'extra,at,n\nx,2001-07-01 12:00:00,1\ny,2001-07-01T12:00:00Z,\n')
      const columns = {
        n: { type: 'int32', nullable: true },
        at: { type: 'timestamp', zone: 'America/New_York', nullable: false },
      } as const
      const result = await bench.engine.rows({
        sql: 'SELECT * FROM a ORDER BY "at"',
        inputs: { a: { format: 'csv', files: [file], columns } },
      })
      assert.deepEqual(
        result.columns.map((column) => column.name),
        ['n', 'at'],
      )
      assert.deepEqual(result.rows, [
        [null, 993988800000000n],
        [1, 994003200000000n],
      ])
      await bench.engine.close()
    },
  },
  {
    name: 'parts of a microsecond are rounded down, and up where it is asked for',
    async run(open) {
      const bench = await open()
      const times = ['2001-07-01 12:00:00.000000500', '1960-07-01 12:00:00.000000999', '2001-07-01 12:00:00.000001']
      const csv = join(bench.directory, 'a.csv')
      await writeFile(csv, `at,up\n${times.map((time) => `${time},${time}Z\n`).join('')}`)
      const rows = times.map((time) => `TIMESTAMP_NS '${time}'`).join('), (')
      const { files } = await bench.engine.write({
        sql: `SELECT t AS "at", t AS up FROM (VALUES (${rows})) v(t)`,
        inputs: {},
        output: { directory: join(bench.directory, 'ns') },
      })
      const instant = { type: 'timestamp', zone: 'UTC', nullable: false } as const
      const columns = { at: instant, up: instant }
      for (const read of [
        { format: 'csv', files: [csv] },
        { format: 'parquet', files },
      ] as const) {
        const result = await bench.engine.rows({
          sql: 'SELECT * FROM a',
          inputs: { a: { ...read, columns, roundedUp: ['up'] } },
        })
        assert.deepEqual(
          result.rows,
          [
            [993988800000000n, 993988800000001n],
            [-299851200000000n, -299851199999999n],
            [993988800000001n, 993988800000001n],
          ],
          read.format,
        )
      }
      await bench.engine.close()
    },
  },
  {
    name: 'fileColumn numbers the files in the order given',
    async run(open) {
      const bench = await open()
      const files = [await numbers(bench, 4, 'b'), await numbers(bench, 2, 'a')]
      const inputs = { a: { format: 'parquet' as const, files, fileColumn: 'file_index' } }
      const { rows } = await bench.engine.rows({
        sql: 'SELECT file_index, count(*) FROM a GROUP BY file_index ORDER BY file_index',
        inputs,
      })
      assert.deepEqual(rows, [
        [0n, 4n],
        [1n, 2n],
      ])
      await bench.engine.close()
    },
  },
  {
    name: 'orderColumn grows as the files and their rows do, and is unique',
    async run(open) {
      const bench = await open()
      const files = [await numbers(bench, 300_000, 'b'), await numbers(bench, 2, 'a')]
      const [b, a] = files as [string, string]
      for (const [given, count] of [
        [[b, a], 300_002n],
        [[a, b], 300_002n],
        [[b], 300_000n],
      ] as const) {
        const inputs = { a: { format: 'parquet' as const, files: given, orderColumn: 'place', fileColumn: 'file' } }
        const { rows } = await bench.engine.rows({
          sql: `SELECT count(*), count(DISTINCT place), min(place) >= 0, (SELECT count(*) FROM
            (SELECT file, i, lag(file) OVER w AS file_before, lag(i) OVER w AS before FROM a WINDOW w AS (ORDER BY place))
            WHERE NOT (file_before IS NULL OR file > file_before OR (file = file_before AND i > before))) FROM a`,
          inputs,
        })
        assert.deepEqual(rows, [[count, count, true, 0n]])
      }
      const { files: named } = await bench.engine.write({
        sql: 'SELECT 3 - i AS FILE_ROW_NUMBER FROM range(3) t(i) ORDER BY i',
        inputs: {},
        output: { directory: join(bench.directory, 'named') },
      })
      const own = await bench.engine.rows({
        sql: 'SELECT file_row_number FROM a ORDER BY place',
        inputs: { a: { format: 'parquet', files: named, orderColumn: 'place' } },
      })
      assert.deepEqual(own.rows, [[3n], [2n], [1n]])
      const csv = join(bench.directory, 'order.csv')
      await writeFile(csv, 'i\n5\n3\n4\n')
      const { rows } = await bench.engine.rows({
        sql: 'SELECT i FROM a ORDER BY place',
        inputs: { a: { format: 'csv', files: [csv], orderColumn: 'place' } },
      })
      assert.deepEqual(rows, [['5'], ['3'], ['4']])
      await bench.engine.close()
    },
  },
  {
    name: 'write gives equal bytes for equal statements, and the number of rows',
    async run(open) {
      const bench = await open()
      const inputs = { a: { format: 'parquet' as const, files: [await numbers(bench, 300_000)] } }
      const write = (name: string) =>
        bench.engine.write({ sql: ORDERED, inputs, output: { directory: join(bench.directory, name) } })
      const [first, second] = [await write('first'), await write('second')]
      assert.equal(first.rowCount, 300_000)
      assert.match(first.files[0]!, /part-00000\.parquet$/)
      assert.equal(await digest(first.files[0]!), await digest(second.files[0]!))
      await bench.engine.close()
    },
  },
  {
    name: 'write keeps no rows as a readable file, and refuses a directory that is not empty',
    async run(open) {
      const bench = await open()
      const output = { directory: join(bench.directory, 'out') }
      const { files, rowCount } = await bench.engine.write({
        sql: 'SELECT CAST(1 AS INTEGER) AS a WHERE false',
        inputs: {},
        output,
      })
      assert.equal(rowCount, 0)
      assert.deepEqual(
        (await bench.engine.rows({ sql: 'SELECT * FROM a', inputs: { a: { format: 'parquet', files } } })).rows,
        [],
      )
      await assert.rejects(
        bench.engine.write({ sql: 'SELECT 1 AS a', inputs: {}, output }),
        refused('query.output_not_empty'),
      )
      await bench.engine.close()
    },
  },
  {
    name: 'a failed write leaves no file behind',
    async run(open) {
      const bench = await open()
      const output = { directory: join(bench.directory, 'out') }
      const sql = `SELECT CAST(CASE WHEN i = 199999 THEN 'x' ELSE '1' END AS INTEGER) AS a FROM range(200000) t(i)`
      await assert.rejects(bench.engine.write({ sql, inputs: {}, output }), refused('query.failed'))
      assert.equal((await bench.engine.write({ sql: 'SELECT 1 AS a', inputs: {}, output })).rowCount, 1)
      await bench.engine.close()
    },
  },
  {
    name: 'files that are no Parquet, or not there, are named as unreadable',
    async run(open) {
      const bench = await open()
      const file = join(bench.directory, 'broken.parquet')
      for (const content of [
        '',
        'PAR1',
        'not parquet at all, but long enough to hold a footer',
        `PAR1${'x'.repeat(50)}\u00ff\u00ff\u0000\u0000PAR1`,
      ]) {
        await writeFile(file, content, 'latin1')
        await assert.rejects(
          bench.engine.rows({ sql: 'SELECT * FROM a', inputs: { a: { format: 'parquet', files: [file] } } }),
          refused('query.file_unreadable'),
          JSON.stringify(content),
        )
      }
      const missing = { a: { format: 'parquet' as const, files: [join(bench.directory, 'missing.parquet')] } }
      await assert.rejects(
        bench.engine.rows({ sql: 'SELECT * FROM a', inputs: missing }),
        refused('query.file_unreadable'),
      )
      await bench.engine.close()
    },
  },
  {
    name: 'names of relations that are no identifiers, or twins by case, are refused',
    async run(open) {
      const bench = await open()
      const files = [await numbers(bench, 1)]
      for (const inputs of [
        { 'a"; DROP': { format: 'parquet' as const, files } },
        { a: { format: 'parquet' as const, files }, A: { format: 'parquet' as const, files } },
        { a: { format: 'parquet' as const, files: ['relative.parquet'] } },
        { a: { format: 'parquet' as const, files: [] } },
      ]) {
        await assert.rejects(bench.engine.rows({ sql: 'SELECT 1', inputs }), refused('query.bad_input'))
      }
      await bench.engine.close()
    },
  },
  {
    name: 'an abort stops a running statement with the reason of the signal',
    async run(open) {
      const { engine } = await open()
      const controller = new AbortController()
      const endless = engine.rows({
        sql: 'SELECT sum(a.i * b.i) FROM range(10000000) a(i), range(10000000) b(i)',
        inputs: {},
        signal: controller.signal,
      })
      const queued = engine.rows({ sql: 'SELECT 1 AS a', inputs: {} })
      setTimeout(() => controller.abort(new Error('enough')), 50)
      await assert.rejects(endless, /enough/)
      assert.equal((await queued).rows.length, 1)
      await engine.close()
    },
  },
  {
    name: 'concurrent statements do not see each other, and closing twice is harmless',
    async run(open) {
      const bench = await open()
      const [two, three] = [await numbers(bench, 2, 'two'), await numbers(bench, 3, 'three')]
      const count = (file: string) =>
        bench.engine.rows({ sql: 'SELECT count(*) FROM a', inputs: { a: { format: 'parquet', files: [file] } } })
      const results = await Promise.all([two, three, two, three].map(count))
      assert.deepEqual(
        results.map((result) => result.rows[0]![0]),
        [2n, 3n, 2n, 3n],
      )
      await bench.engine.close()
      await bench.engine.close()
      await assert.rejects(bench.engine.rows({ sql: 'SELECT 1', inputs: {} }), refused('query.closed'))
    },
  },
]
