import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SECRET_NAME, secretVariable } from '@plimsoll/sdk/seams'
import { afterAll, expect, test } from 'vitest'
import type { PlimsollError } from '../errors.ts'
import { loadConfig, SETTINGS, withoutSecrets } from './index.ts'

const directory = mkdtempSync(join(tmpdir(), 'plimsoll-config-'))
afterAll(() => rmSync(directory, { recursive: true }))

function write(name: string, text: string): string {
  const path = join(directory, name)
  writeFileSync(path, text)
  return path
}

async function faultsOf(sources: Parameters<typeof loadConfig>[0]): Promise<string[]> {
  try {
    await loadConfig(sources)
  } catch (thrown) {
    return ((thrown as PlimsollError).details.faults ?? []).map((fault) => `${fault.pointer} ${fault.detail}`)
  }
  return []
}

test('loadConfig() prefers flags, then the environment, then the file, then defaults', async () => {
  const file = write('a.yaml', 'server: { port: 1, gatewayPort: 2, grpcPort: 3 }\n')
  const { config } = await loadConfig({
    flags: { server: { port: 11 } },
    env: { PLIMSOLL_SERVER_PORT: '10', PLIMSOLL_SERVER_GATEWAY_PORT: '20' },
    file,
  })
  expect(config.server).toMatchObject({ port: 11, gatewayPort: 20, grpcPort: 3, host: '127.0.0.1' })
})

test('loadConfig() reports every problem of every source at once, with where it came from', async () => {
  const file = write('b.yaml', 'server: { prot: 1 }\nblob: { kind: s3 }\nzz: 1\nserver/port: 1\n')
  const faults = await faultsOf({
    flags: { server: { port: 99_999 } },
    env: { PLIMSOLL_HTTP_JSON_DEPTH: 'deep' },
    file,
  })
  expect(faults).toEqual([
    '/server/prot is no setting (from the file)',
    '/zz is no setting (from the file)',
    '/server~1port is no setting (from the file)',
    '/server/port expected a number of at most 65535, found 99999 (from --port)',
    '/http/jsonDepth expected a number, found "deep" (from PLIMSOLL_HTTP_JSON_DEPTH)',
    '/blob/bucket is needed with kind s3',
  ])
})

test('loadConfig() wants two ports, and leaves the one where nothing listens yet out of that', async () => {
  expect(await faultsOf({ flags: { server: { port: 7_000, gatewayPort: 7_000 } } })).toEqual([
    '/server/port port and gatewayPort must differ',
  ])
  expect(await faultsOf({ flags: { server: { port: 7_442 } } })).toEqual([])
  expect(await faultsOf({ flags: { server: { port: 0, gatewayPort: 0 } } })).toEqual([])
})

test('loadConfig() never shows the value of a secret', async () => {
  const secret = `postgres://user:canary@host/${'x'.repeat(3_000)}`
  const text = JSON.stringify(await faultsOf({ env: { PLIMSOLL_DATABASE_URL: secret } }))
  expect(text).toContain('/database/url is not valid (from PLIMSOLL_DATABASE_URL)')
  expect(text).not.toContain('canary')
})

test('loadConfig() shows no login of an address that stands in another setting', async () => {
  for (const [source, place] of [
    [{ env: { PLIMSOLL_DATABASE_KIND: 'postgres://u:xq/zk@h/db' } }, '/database/kind'],
    [{ env: { PLIMSOLL_LOG_LEVEL: `postgres://u:${'xq'.repeat(200)}@h/db` } }, '/log/level'],
    [{ env: { PLIMSOLL_LOG_LEVEL: 'postgres://u:xq zk@h/db' } }, '/log/level'],
    [{ env: { PLIMSOLL_LOG_LEVEL: 'u:xq@h/db' } }, '/log/level'],
    [{ env: { PLIMSOLL_LOG_LEVEL: 'host=h user=u password=xq' } }, '/log/level'],
    [{ env: { PLIMSOLL_DATABASE_KIND: 'host=h user=u pass=canary' } }, '/database/kind'],
    [{ env: { PLIMSOLL_DATABASE_KIND: 'postgres:u:canary' } }, '/database/kind'],
    [{ env: { PLIMSOLL_BLOB_KIND: 'AKIA:canary' } }, '/blob/kind'],
    [{ env: { PLIMSOLL_CONFIG: 'postgres://u:canary@h/db' } }, ''],
    [{ env: { PLIMSOLL_CONFIG: 'postgres://u:xq canary@h/db' } }, ''],
    [{ env: { PLIMSOLL_CONFIG: 'u:canary@h/db' } }, ''],
    [{ env: { PLIMSOLL_SERVER_HOST: 'postgres://u:canary@h/db' } }, '/server/host'],
    [{ flags: { server: { port: 'postgres://u:canary@h/db' } } }, '/server/port'],
    [{ flags: { log: { level: ['postgres://u:canary@h/db'] } } }, '/log/level'],
    [{ flags: { database: { kind: { url: 'postgres://u:canary@h/db' } } } }, '/database/kind'],
  ] as const) {
    const faults = await faultsOf(source)
    expect(faults).toContainEqual(expect.stringMatching(new RegExp(`^${place} `)))
    expect(faults.join()).not.toMatch(/xq|zk|canary/)
  }
})

test('loadConfig() shows nothing of a file whose secret stands in a wrong place', async () => {
  for (const text of [
    'database: postgres://u:canary@h/db',
    'database: [postgres://u:canary@h/db]',
    'postgres://u:canary@h/db',
    'database: { postgres://u:canary@h/db }',
    "database: { kind: 'postgres://u:canary@h/db' }",
    "server: { host: 'postgres://u:canary@h/db' }",
    "blob: { kind: s3, bucket: b, endpoint: 'https://u:canary@h' }",
    's3:\n  secretAccessKey: |canary\n',
    'blobs: >canary\n',
  ]) {
    const said = JSON.stringify(await faultsOf({ file: write('secret.yaml', text) }))
    expect(said, text).toMatch(/expected|is not YAML|is no setting|has a user/)
    expect(said, text).not.toContain('canary')
  }
})

test('loadConfig() refuses another bind without tokens, TLS and a durable database, all at once', async () => {
  const faults = await faultsOf({ flags: { server: { host: '0.0.0.0' } } })
  expect(faults.map((fault) => fault.split(' ')[0])).toEqual([
    '/auth/requireToken',
    '/server/behindProxy',
    '/server/acceptPgliteLoss',
  ])
  const { config } = await loadConfig({
    flags: { server: { host: '0.0.0.0', behindProxy: true, acceptPgliteLoss: true }, auth: { requireToken: true } },
  })
  expect(config.server.host).toBe('0.0.0.0')
})

test.each(['127.0.0.1', 'localhost', '::1'])('loadConfig() asks nothing of %s', async (host) => {
  expect(await faultsOf({ flags: { server: { host } } })).toEqual([])
})

test.each([
  ['an alias bomb', `a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nserver: [*b,*b,*b]\n`],
  ['20,000 brackets', '['.repeat(20_000)],
  ['a key twice', 'dataDir: a\ndataDir: b\n'],
  ['a list', '- 1\n'],
  ['300 KiB', `# ${'x'.repeat(300_000)}\n`],
])('loadConfig() refuses a file with %s', async (name, text) => {
  expect(await faultsOf({ file: write(`${name.replaceAll(' ', '-')}.yaml`, text) })).not.toEqual([])
})

test('loadConfig() refuses a file that was named and is not there', async () => {
  expect(await faultsOf({ file: join(directory, 'absent.yaml') })).toEqual([
    ` ${join(directory, 'absent.yaml')} cannot be read: no such file or directory (ENOENT)`,
  ])
})

test.each([
  ['a: b: c\n', 'line 1: Nested mappings are not allowed in compact mappings'],
  ['database:\n  url: canary\n more: 1\n', 'line 3: All mapping items must start at the same column'],
  ['a: }canary\n', 'line 1: Unexpected flow-map-end token in YAML stream'],
  ['a: 1\n---\nb: canary\n', 'line 2: Source contains multiple documents'],
])('loadConfig() says what is no YAML in %j, and nothing of the text', async (text, said) => {
  const file = write('bad.yaml', text)
  expect(await faultsOf({ file })).toEqual([` ${file} is not YAML: ${said}`])
})

test('loadConfig() warns of names that look like settings', async () => {
  expect((await loadConfig({ env: { PLIMSOLL_HTPP_JSON_DEPTH: '3' } })).warnings).toEqual([
    'PLIMSOLL_HTPP_JSON_DEPTH is no setting of Plimsoll and was ignored',
  ])
  const secrets = {
    PLIMSOLL_SECRET_WAREHOUSE_PASSWORD: 'canary',
    PLIMSOLL_SECRET_lower: 'canary',
    PLIMSOLL_SECRET_: '',
  }
  expect((await loadConfig({ env: secrets })).warnings).toEqual([
    'PLIMSOLL_SECRET_lower is no setting of Plimsoll and was ignored',
    'PLIMSOLL_SECRET_ is no setting of Plimsoll and was ignored',
  ])
})

test('the variable of every name of a secret is kept from processes that start no steps, and is no unknown setting', async () => {
  const names = ['a', 'a-', 'a--b', 'warehouse-password', 'k8s-token-2', `z${'-9'.repeat(31)}`]
  expect(names.filter((name) => !SECRET_NAME.test(name))).toEqual([])
  const env = Object.fromEntries(names.map((name) => [secretVariable(name), 'canary']))
  expect(Object.keys(env)).toHaveLength(names.length)
  expect(withoutSecrets({ ...env, PATH: '/bin' })).toEqual({ PATH: '/bin' })
  expect((await loadConfig({ env })).warnings).toEqual([])
})

test('every setting has its own name in the environment', () => {
  expect(new Set(SETTINGS.map((setting) => setting.name)).size).toBe(SETTINGS.length)
  expect(SETTINGS.length).toBeGreaterThan(40)
})
