import assert from 'node:assert/strict'
import type { SqlBackend, SqlSession } from './backend.ts'

/** One case of what both databases must hold; `open` gives a backend on an empty database. */
export interface SqlBackendCase {
  readonly name: string
  run(open: () => Promise<SqlBackend>): Promise<void>
}

async function withSession<T>(backend: SqlBackend, work: (session: SqlSession) => Promise<T>): Promise<T> {
  const session = await backend.acquire()
  try {
    return await work(session)
  } finally {
    await session.release()
  }
}

async function one(backend: SqlBackend, sql: string, values: readonly unknown[] = []): Promise<unknown> {
  const { rows } = await withSession(backend, (session) => session.query(sql, values))
  return Object.values(rows[0] ?? {})[0]
}

const at = new Date('2001-04-23T12:34:56.789Z')

/** Type, value passed in, value read back when it differs. */
const ROUND_TRIPS: readonly [string, unknown, unknown?][] = [
  ['int8', 9_223_372_036_854_775_807n],
  ['int8', -9_223_372_036_854_775_808n],
  ['int8', 7, 7n],
  ['int4', -2_147_483_648],
  ['float8', 0.1],
  ['float8', Number.POSITIVE_INFINITY],
  ['float8', Number.NaN],
  ['numeric', '12345678901234567890.000000001'],
  ['boolean', true],
  ['text', ''],
  ['text', 'žluťoučký 🐎 \u{1f1e8}\u{1f1ff} "\'\\'],
  ['timestamptz', at],
  ['timestamptz', new Date('9999-12-31T23:59:59.999Z')],
  ['date', '2001-02-28'],
  ['jsonb', JSON.stringify({ a: [1, 2.5, null, 'ü'], b: { c: true } }), { a: [1, 2.5, null, 'ü'], b: { c: true } }],
  ['jsonb', '"text"', 'text'],
  ['jsonb', 'null', null],
  ['text[]', ['a', 'b,c', '"', '{}', '']],
  ['int8[]', [1n, 9_223_372_036_854_775_807n]],
  ['int4[]', []],
  ['uuid', '0190b5f2-0000-7000-8000-000000000000'],
  ['int8', null],
  ['jsonb', null],
]

const values: SqlBackendCase[] = [
  {
    name: 'every type that we store reads back as the type that the tables promise',
    run: async (open) => {
      const backend = await open()
      for (const [type, given, expected] of ROUND_TRIPS) {
        const read = await one(backend, `select $1::${type} as value`, [given])
        assert.deepEqual(read, expected === undefined ? given : expected, `${type} ${String(given)}`)
      }
      await backend.close()
    },
  },
  {
    name: 'bytea reads back as the bytes that were written',
    run: async (open) => {
      const backend = await open()
      const bytes = Uint8Array.from({ length: 256 }, (_, index) => index)
      const read = (await one(backend, 'select $1::bytea as value', [bytes])) as Uint8Array // the case is about this type
      assert.ok(read instanceof Uint8Array)
      assert.deepEqual([...read], [...bytes])
      await backend.close()
    },
  },
  {
    name: 'a session thinks in UTC',
    run: async (open) => {
      const backend = await open()
      assert.equal(
        await one(backend, `select date_trunc('day', $1::timestamptz)::text as value`, [at]),
        '2001-04-23 00:00:00+00',
      )
      await backend.close()
    },
  },
  {
    name: 'affected rows are counted as bigint',
    run: async (open) => {
      const backend = await open()
      await withSession(backend, async (session) => {
        await session.query('create table t (n int8 primary key)', [])
        assert.equal((await session.query('insert into t select generate_series(1, 5)', [])).affected, 5n)
        assert.equal((await session.query('update t set n = n + 10 where n > 3', [])).affected, 2n)
        assert.equal((await session.query('delete from t where n = 99', [])).affected, 0n)
      })
      await backend.close()
    },
  },
]

const failures: SqlBackendCase[] = [
  {
    name: 'a refused statement carries its SQLSTATE, and the session goes on',
    run: async (open) => {
      const backend = await open()
      await withSession(backend, async (session) => {
        await session.query('create table t (n int8 primary key)', [])
        await session.query('insert into t values (1)', [])
        await assert.rejects(session.query('insert into t values (1)', []), { code: '23505' })
        await assert.rejects(session.query('selec 1', []), { code: '42601' })
        await assert.rejects(session.query('select $1::int8', ['x']), { code: '22P02' })
        await assert.rejects(session.query('select * from absent', []), { code: '42P01' })
        assert.equal((await session.query('select n from t', [])).rows.length, 1)
      })
      await backend.close()
    },
  },
  {
    name: 'what is rolled back is gone, what is committed stays',
    run: async (open) => {
      const backend = await open()
      await withSession(backend, async (session) => {
        await session.query('create table t (n int8)', [])
        for (const end of ['rollback', 'commit']) {
          await session.query('begin', [])
          await session.query('insert into t values (1)', [])
          await session.query(end, [])
        }
      })
      assert.equal(await one(backend, 'select count(*) from t'), 1n)
      await backend.close()
    },
  },
  {
    name: 'a transaction that failed leaves the next session clean after its rollback',
    run: async (open) => {
      const backend = await open()
      await withSession(backend, async (session) => {
        await session.query('begin', [])
        await assert.rejects(session.query('select 1 / 0', []), { code: '22012' })
        await assert.rejects(session.query('select 1', []), { code: '25P02' })
        await session.query('rollback', [])
      })
      assert.equal(await one(backend, 'select 1 as n'), 1)
      await backend.close()
    },
  },
]

/** An adapter may keep statements parsed: nobody may notice. */
const repeated: SqlBackendCase[] = [
  {
    name: 'a statement that is repeated sees the schema as it is now',
    run: async (open) => {
      const backend = await open()
      await withSession(backend, async (session) => {
        const read = async () => (await session.query('select * from t', [])).rows
        await assert.rejects(read(), { code: '42P01' })
        await session.query('create table t (a int4)', [])
        await session.query('insert into t values (1)', [])
        assert.deepEqual(await read(), [{ a: 1 }])
        await session.query('begin', [])
        await session.query(`alter table t add column b text default 'x'`, [])
        assert.deepEqual(await read(), [{ a: 1, b: 'x' }])
        await session.query('rollback', [])
        assert.deepEqual(await read(), [{ a: 1 }])
        await session.query('alter table t add column c int8 default 2', [])
        assert.deepEqual(await read(), [{ a: 1, c: 2n }])
      })
      await backend.close()
    },
  },
  {
    name: 'a statement gives the same the thousandth time, and after hundreds of others',
    run: async (open) => {
      const backend = await open()
      await withSession(backend, async (session) => {
        const add = async (n: number) => (await session.query('select $1::int4 + 1 as n', [n])).rows[0]?.n
        for (let n = 0; n < 1_100; n++) assert.equal(await add(n), n + 1)
        for (let n = 0; n < 300; n++)
          assert.deepEqual((await session.query(`select ${n} as n${n}`, [])).rows, [{ [`n${n}`]: n }])
        assert.equal(await add(1), 2)
        const twice = { sql: 'select $1::int4 + 2 as n', values: [1] }
        for (let n = 0; n < 600; n++)
          assert.deepEqual(
            (await session.transact([twice, twice])).map(({ rows }) => rows),
            [[{ n: 3 }], [{ n: 3 }]],
          )
      })
      await backend.close()
    },
  },
  {
    name: 'an empty transaction is fine, and the one after it holds',
    run: async (open) => {
      const backend = await open()
      await withSession(backend, async (session) => {
        await session.query('create table t (n int8)', [])
        for (const end of ['commit', 'rollback']) {
          await session.query('begin', [])
          await session.query(end, [])
        }
        await session.query('insert into t values (1)', [])
        await session.query('begin', [])
        await session.query('delete from t', [])
        await session.query('rollback', [])
        assert.equal((await session.query('select n from t', [])).rows.length, 1)
      })
      await backend.close()
    },
  },
]

const sessions: SqlBackendCase[] = [
  {
    name: 'fifty callers at once are all served, however few sessions there are',
    run: async (open) => {
      const backend = await open()
      await one(backend, 'create table t (n int8)')
      await Promise.all(
        Array.from({ length: 50 }, (_, index) =>
          withSession(backend, async (session) => {
            await session.query('begin', [])
            await session.query('insert into t values ($1)', [index])
            await session.query('commit', [])
          }),
        ),
      )
      assert.equal(await one(backend, 'select count(*) from t'), 50n)
      await backend.close()
    },
  },
  {
    name: 'transact() runs each statement after those before it, and commits them together',
    run: async (open) => {
      const backend = await open()
      await one(backend, 'create table t (n int8, note text)')
      const long = `insert into t (n, note) values ${Array.from({ length: 400 }, (_, n) => `(${n + 10}, 'a note of the row')`)}`
      const results = await withSession(backend, (session) =>
        session.transact([
          { sql: 'insert into t values ($1, $2)', values: [1, 'a'] },
          { sql: 'update t set note = note || $1 returning n, note', values: ['b'] },
          { sql: long, values: [] },
          { sql: long, values: [] },
          { sql: 'select count(*) as n from t', values: [] },
        ]),
      )
      assert.deepEqual(
        results.map(({ affected }) => affected),
        backend.name === 'pglite' ? [1n, 1n, 400n, 400n, undefined] : [1n, 1n, 400n, 400n, 1n],
      )
      assert.deepEqual(results[1]!.rows, [{ n: 1n, note: 'ab' }])
      assert.deepEqual(results[4]!.rows, [{ n: 801n }])
      assert.equal(await one(backend, 'select count(*) from t'), 801n)
      assert.deepEqual(await withSession(backend, (session) => session.transact([])), [])
      await backend.close()
    },
  },
  {
    name: 'transact() repeats a statement after the schema has changed',
    run: async (open) => {
      const backend = await open()
      await one(backend, 'create table t (n int8)')
      const [add, all] = [
        { sql: 'insert into t (n) values ($1)', values: [1] },
        { sql: 'select * from t', values: [] },
      ]
      const both = () => withSession(backend, (session) => session.transact([add, all]))
      await both()
      await one(backend, "alter table t add column note text default 'new'")
      const [, answer] = await both()
      assert.deepEqual(answer!.rows, [
        { n: 1n, note: 'new' },
        { n: 1n, note: 'new' },
      ])
      await one(backend, 'alter table t drop column note')
      assert.equal((await both())[1]!.rows.length, 3)
      await backend.close()
    },
  },
  {
    name: 'transact() leaves nothing when one of its statements fails, and the session goes on',
    run: async (open) => {
      const backend = await open()
      await one(backend, 'create table t (n int8 primary key)')
      await withSession(backend, async (session) => {
        const insert = (n: number) => ({ sql: 'insert into t values ($1)', values: [n] })
        await assert.rejects(session.transact([insert(1), insert(1), insert(2)]), { code: '23505' })
        await assert.rejects(session.transact([insert(3), { sql: 'select nothing from nowhere', values: [] }]), {
          code: '42P01',
        })
        await session.transact([insert(4)])
        await session.query('begin', [])
        await session.query('insert into t values (5)', [])
        await session.query('rollback', [])
        assert.deepEqual((await session.query('select n from t', [])).rows, [{ n: 4n }])
      })
      await backend.close()
    },
  },
  {
    name: 'close() twice is fine, and a query afterwards is unavailable',
    run: async (open) => {
      const backend = await open()
      await one(backend, 'select 1')
      await Promise.all([backend.close(), backend.close()])
      await backend.close()
      await assert.rejects(one(backend, 'select 1'), { kind: 'unavailable' })
    },
  },
]

/** What every database backend must hold. */
export const SQL_BACKEND_CONTRACT: readonly SqlBackendCase[] = [...values, ...failures, ...repeated, ...sessions]
