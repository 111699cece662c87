import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { SQL_BACKEND_CONTRACT } from '../../kernel/db/backend.contract.ts'
import { layDatabase, openPgliteCopy } from '../../kernel/db/database-template.fixture.ts'
import { toPlimsollError } from '../../kernel/errors.ts'
import { openPglite } from './backend.ts'

let root: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'plimsoll-pglite-'))
})
afterAll(() => rm(root, { recursive: true, force: true }))

test.each(SQL_BACKEND_CONTRACT)('PGlite contract: $name', ({ run }) => run(() => openPgliteCopy({ isMigrated: false })))

async function holdElsewhere(directory: string) {
  const script = `import { openPglite } from ${JSON.stringify(new URL('./backend.ts', import.meta.url).href)}
    const backend = await openPglite(process.argv[2])
    const session = await backend.acquire()
    await session.query('create table if not exists t (n int8)', [])
    await session.query('insert into t values (1)', [])
    console.log('held')
    setInterval(() => {}, 1000)`
  await writeFile(join(root, 'holder.mjs'), script)
  const child = spawn(process.execPath, [join(root, 'holder.mjs'), directory], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(child.stdout, 'data')
  return child
}

test('a directory held by another process is refused by its pid, and free once that is killed', async () => {
  const directory = join(root, 'held')
  await layDatabase(directory, { isMigrated: false })
  const holder = await holdElsewhere(directory)
  await expect(openPglite(directory)).rejects.toMatchObject({
    kind: 'conflict',
    code: 'pglite.directory_in_use',
    details: { pid: holder.pid },
  })
  holder.kill('SIGKILL')
  await once(holder, 'exit')
  const backend = await openPglite(directory)
  const session = await backend.acquire()
  expect((await session.query('select n from t', [])).rows).toEqual([{ n: 1n }])
  await session.release()
  await backend.close()
})

test('two directories with one parent do not stand in each other’s way, the same one twice does', async () => {
  for (const name of ['a', 'b']) await layDatabase(join(root, name), { isMigrated: false })
  const [a, b] = [await openPglite(join(root, 'a')), await openPglite(join(root, 'b'))]
  await expect(openPglite(join(root, 'a'))).rejects.toMatchObject({ code: 'pglite.directory_in_use' })
  await Promise.all([a.close(), b.close()])
  await (await openPglite(join(root, 'a'))).close()
})

test('a damaged page is told as such, with what to do', async () => {
  const directory = join(root, 'damaged')
  await layDatabase(directory, { isMigrated: false })
  const before = await openPglite(directory)
  const writing = await before.acquire()
  await writing.query('create table t as select n from generate_series(1, 1000) n', [])
  await writing.query('checkpoint', [])
  const { rows } = await writing.query("select pg_relation_filepath('t') as path", [])
  await writing.release()
  await before.close()
  const file = await open(join(directory, String(rows[0]?.['path'])), 'r+')
  await file.write(Buffer.alloc(24, 0xa5), 0, 24, 0) // a page's header
  await file.close()
  const backend = await openPglite(directory)
  const session = await backend.acquire()
  const failure = await session.query('select sum(n) from t', []).catch(toPlimsollError)
  expect(failure).toMatchObject({ code: 'db.damaged', details: { action: expect.stringContaining('a copy') } })
  await session.release()
  await backend.close()
})

test('a value that no thread can be sent refuses its own query only', async () => {
  const backend = await openPgliteCopy({ isMigrated: false })
  const session = await backend.acquire()
  await expect(session.query('select $1', [() => {}])).rejects.toThrow('could not be cloned')
  expect((await session.query('select 1 as n', [])).rows).toEqual([{ n: 1 }])
  await session.release()
  await backend.close()
})

test('a statement over its time ends the worker: that query is `deadline`, later ones too, and close() returns', async () => {
  const backend = await openPgliteCopy({ isMigrated: false }, { statementTimeoutMs: 1_000 })
  const session = await backend.acquire()
  const endless = session.query(
    'with recursive r(n) as (select 1 union all select n + 1 from r) select count(*) from r',
    [],
  )
  await expect(endless).rejects.toMatchObject({ kind: 'deadline', code: 'pglite.statement_timeout' })
  await expect(session.query('select 1', [])).rejects.toMatchObject({ code: 'pglite.statement_timeout' })
  await session.release()
  await backend.close()
})

test('a session of a backend that was closed is unavailable', async () => {
  const backend = await openPgliteCopy({ isMigrated: false })
  const session = await backend.acquire()
  await session.release()
  await backend.close()
  await expect(session.query('select 1', [])).rejects.toMatchObject({ kind: 'unavailable', code: 'pglite.stopped' })
})
