import { createServer } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { suiteWith } from '../../../../../tests/servers.ts'
import { startCluster, type TestCluster } from './cluster.fixture.ts'
import { askPostgres, openPostgres } from './index.ts'

const TIMEOUT_MS = 5_000

/** What opening and asking throw, as text with all that is kept of it. */
async function refusalsOf(url: string, timeoutMs = TIMEOUT_MS): Promise<string[]> {
  const refusals = await Promise.allSettled([
    openPostgres({ url, acquireTimeoutMs: timeoutMs }),
    askPostgres(url, timeoutMs),
  ])
  return refusals.map((one) => {
    if (one.status === 'fulfilled') throw new Error(`${url} opens`)
    const { code, message, details } = one.reason as { code: string; message: string; details: { action: string } }
    return `${code}: ${message}. ${details.action}`
  })
}

const CHECK = 'Check that it runs there, and what database.url says'

test('a server that is not there is told by its place and what the system said, without the password', async () => {
  const said = `db.unavailable: Cannot connect to PostgreSQL at 127.0.0.1:1/x: connection refused (ECONNREFUSED). ${CHECK}`
  expect(await refusalsOf('postgres://ada:canary@127.0.0.1:1/x')).toEqual([said, said])
})

test('an address that is none is a fault of the settings, and is not shown', async () => {
  const action =
    'Give it as postgres://USER:PASSWORD@HOST:PORT/DATABASE, with %2F, %3F, %23 and %40 for /, ?, # and @ in the password, and %40 in what follows'
  const said = `config.invalid: Cannot use database.url: it is no address. ${action}`
  for (const url of [
    'postgres://ada:canary@127.0.0.1:99999/x',
    'host=127.0.0.1 password=canary dbname=x',
    'postgres:/ada:canary@127.0.0.1/x',
    '/ada:canary',
    'postgres://ada:/canary@127.0.0.1/x',
    'postgres://ada:x@127.0.0.1/canary@127.0.0.1/x',
    'postgres://ada:/canary#x@127.0.0.1:1/x',
    'postgres://ada:/canary?x@127.0.0.1:1/x',
    'postgres://ada:12/canary?x@127.0.0.1:1/x',
    'postgres://ada:4711#canary@127.0.0.1:1/x',
  ])
    expect(await refusalsOf(url), url).toEqual([said, said])
})

test('what may be a user and a password without their @ is not shown, nor a database that is no plain name', async () => {
  for (const url of ['postgres://127.0.0.1:1/canary', 'postgres://127.0.0.1:1'])
    expect((await refusalsOf(url))[0]).toMatch(
      /^db\.unavailable: Cannot connect to PostgreSQL at the address of database\.url: /,
    )
  expect((await refusalsOf('postgres://ada@127.0.0.1:1/canary%20x'))[0]).toContain('at 127.0.0.1:1: ')
})

test('what listens and does not answer is given up on', async () => {
  const server = createServer()
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const { port } = server.address() as { port: number }
  for (const said of await refusalsOf(`postgres://ada@127.0.0.1:${port}/x`, 100))
    expect(said).toMatch(/^db\.unavailable: Cannot connect to PostgreSQL at 127\.0\.0\.1:\d+\/x: .*time/)
  server.close()
})

suiteWith('postgres', 'PostgreSQL that answers', (initdb) => {
  let cluster: TestCluster
  beforeAll(async () => {
    cluster = await startCluster(initdb)
  })
  afterAll(() => cluster?.close())

  test('askPostgres() tells its version and place', async () => {
    const url = await cluster.createDatabase()
    expect(await askPostgres(url, TIMEOUT_MS)).toEqual({
      version: expect.stringMatching(/^\d+/),
      place: new URL(url).host + new URL(url).pathname,
    })
  })

  test('what the server said is told, with its code', async () => {
    const url = new URL(await cluster.createDatabase())
    url.pathname = '/absent'
    const said = `db.unavailable: Cannot connect to PostgreSQL at ${url.host}/absent: database "absent" does not exist (3D000). ${CHECK}`
    expect(await refusalsOf(url.href)).toEqual([said, said])
  })
})
