import { readdirSync, statSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { manualClock } from '../../kernel/clock.ts'
import type { SqlBackend, SqlSession } from '../../kernel/db/backend.ts'
import { layDatabase } from '../../kernel/db/database-template.fixture.ts'
import { openPglite } from './backend.ts'
import { openUpkeep } from './upkeep.ts'

const ROUNDS = 12
const UPDATES = 20
const ROWS = 1_000

async function query(backend: SqlBackend, sql: string) {
  const session = await backend.acquire()
  try {
    return (await session.query(sql, [])).rows
  } finally {
    await session.release()
  }
}

async function openEmpty(): Promise<{ backend: SqlBackend; directory: string }> {
  const directory = await mkdtemp(join(tmpdir(), 'plimsoll-upkeep-'))
  await layDatabase(directory, { isMigrated: false })
  const backend = await openPglite(directory)
  onTestFinished(async () => {
    await backend.close()
    await rm(directory, { recursive: true, force: true })
  })
  return { backend, directory }
}

function bytesOf(directory: string): number {
  return readdirSync(directory, { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(directory, entry.name)).size, 0)
}

test('openUpkeep() bounds the rows that updates leave behind and the write-ahead log, and leaves a table at rest alone', async () => {
  const { backend, directory } = await openEmpty()
  const keepUp = openUpkeep(() => backend.acquire(), manualClock()) // nothing takes time there, so nothing rests
  const size = async () => Number((await query(backend, `select pg_relation_size('busy') as n`))[0]!['n'])
  await query(backend, 'create table rest (n int8)')
  await query(backend, 'create table busy (n int8, text text)')
  await query(backend, `insert into busy select n, repeat('x', 200) from generate_series(1, ${ROWS}) n`)
  const sizes: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    for (let n = 0; n < UPDATES; n++) await query(backend, `update busy set text = repeat('${n % 10}', 200)`)
    await query(backend, 'select pg_stat_force_next_flush()')
    const done = await keepUp()
    expect(done).toContain('vacuum (analyze) public.busy')
    expect(done.join()).not.toContain('rest')
    sizes.push(await size())
  }
  expect(sizes.at(-1)).toBeLessThan(sizes[0]! * 2) // without it, it grows with every round
  expect(bytesOf(join(directory, 'pg_wal'))).toBeLessThan(80 << 20)
  await query(backend, 'select pg_stat_force_next_flush()')
  expect(await keepUp()).toEqual([])
  expect(await query(backend, 'select count(*) as n from busy')).toEqual([{ n: BigInt(ROWS) }])
})

test('openUpkeep() lets a table rest a hundred times as long as its upkeep took, and no other for it', async () => {
  const { backend } = await openEmpty()
  const clock = manualClock()
  const slow = async (): Promise<SqlSession> => {
    const session = await backend.acquire()
    const query: SqlSession['query'] = async (sql, values) => {
      if (sql.startsWith('vacuum')) clock.advance(sql.includes('great') ? 300 : 1)
      return session.query(sql, values)
    }
    return { ...session, query }
  }
  const keepUp = openUpkeep(slow, clock)
  const change = async () => {
    for (const table of ['great', 'little']) await query(backend, `update ${table} set n = n + 1`)
    await query(backend, 'select pg_stat_force_next_flush()')
  }
  for (const table of ['great', 'little'])
    await query(backend, `create table ${table} as select n from generate_series(1, ${ROWS}) n`)
  await change()
  expect((await keepUp()).sort()).toEqual(['vacuum (analyze) public.great', 'vacuum (analyze) public.little'])
  clock.advance(29_000)
  await change()
  expect(await keepUp()).toEqual(['vacuum (analyze) public.little'])
  clock.advance(1_000)
  expect(await keepUp()).toEqual(['vacuum (analyze) public.great'])
})
