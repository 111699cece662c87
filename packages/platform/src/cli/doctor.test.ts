import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import type { Finding } from './doctor/index.ts'
import { openCommandLine } from './process.fixture.ts'

const folder = mkdtempSync(join(tmpdir(), 'plimsoll-doctor-'))

/** A PATH with these programs and no others; each is a shell script, or a link to the real one. */
function pathWith(programs: Readonly<Record<string, string>>): string {
  const path = mkdtempSync(join(folder, 'path-'))
  for (const [name, text] of Object.entries(programs)) {
    if (text.startsWith('/')) symlinkSync(text, join(path, name))
    else writeFileSync(join(path, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 })
  }
  return path
}

/** Python as its probes see it: a version, and whether it has ensurepip and an index. */
function python(version: string, has: { ensurepip: boolean; index: boolean }): string {
  return `case "$*" in
  *ensurepip*) ${has.ensurepip ? 'echo ok' : 'echo "No module named ensurepip" >&2; exit 1'} ;;
  *"pip index"*) ${has.index ? 'echo "pip (25.0)"' : 'echo "ERROR: No matching distribution" >&2; exit 1'} ;;
  *version_info*) echo '[[${version}], "cpython", "linux-x86_64", "'"$0"'"]' ;;
esac`
}

async function doctor(path: string, extra: Readonly<Record<string, string>> = {}, ...args: string[]) {
  const { status, out } = await openCommandLine(folder, undefined, { PATH: path, ...extra }).run(
    'doctor',
    '--json',
    ...args,
  )
  const { findings } = JSON.parse(out) as { findings: Finding[] }
  const one = (name: string) => findings.find((finding) => finding.name === name)
  return { status, findings, one }
}

const FREE_PORTS = { PLIMSOLL_SERVER_PORT: '0', PLIMSOLL_SERVER_GATEWAY_PORT: '0' }
const GOOD = python('3,12,1', { ensurepip: true, index: true })

afterAll(() => rmSync(folder, { recursive: true, force: true }))

test('doctor is content with what is needed, and says what each lack costs', async () => {
  const path = pathWith({ python3: GOOD, git: 'echo git version 2.0', npm: 'echo 10.0.0' })
  const { status, findings, one } = await doctor(path, FREE_PORTS)
  expect(findings.filter((finding) => finding.state === 'problem')).toEqual([])
  expect(status).toBe(0)
  expect(one('Python')).toMatchObject({ state: 'ok', found: expect.stringContaining('cpython-3.12.1') })
  expect(one('package index')).toMatchObject({ state: 'ok' })
  expect(one('git')).toMatchObject({ state: 'ok', found: 'git version 2.0' })
  expect(one('Chromium')).toMatchObject({ state: 'missing' })
  for (const finding of findings) if (finding.state !== 'ok') expect(finding.cost, finding.name).toBeTruthy()
  const isolation = { group: 'isolation of steps' }
  expect(one('process group')).toMatchObject({ ...isolation, state: 'ok' })
  expect(one('cgroup v2')).toMatchObject({ ...isolation, state: 'missing', cost: expect.stringContaining('CPU') })
  expect(one('network and files')).toMatchObject({
    ...isolation,
    state: 'missing',
    cost: expect.stringContaining('not a sandbox'),
  })
  const durability = { group: 'durability' }
  expect(one('death of a process')).toMatchObject({ ...durability, state: 'ok' })
  expect(one('loss of power')).toMatchObject({
    ...durability,
    state: 'missing',
    found: expect.stringContaining('not survived'),
    cost: expect.stringContaining('PostgreSQL'),
  })
})

test.each([
  ['no Python at all', {}, 'problem', 'not found', /Python steps cannot run\. Install Python/],
  [
    'a Python that is too old',
    { python3: python('3,8,10', { ensurepip: true, index: true }) },
    'problem',
    '3.8.10',
    /newer Python/,
  ],
  [
    'a Python without ensurepip',
    { python3: python('3,11,2', { ensurepip: false, index: true }) },
    'problem',
    'without venv or ensurepip',
    /python3-venv/,
  ],
  [
    'an old python3 beside a newer one',
    { python3: python('3,8,10', { ensurepip: true, index: true }), 'python3.12': GOOD },
    'ok',
    '3.12.1',
    undefined,
  ],
] as const)('doctor finds %s', async (_name, programs, state, found, cost) => {
  const { status, one } = await doctor(pathWith(programs))
  expect(one('Python')).toMatchObject({ state, found: expect.stringContaining(found) })
  if (cost) expect(one('Python')?.cost).toMatch(cost)
  expect(status).toBe(state === 'problem' ? 5 : 0)
})

test('doctor says that a package index does not answer, and lets it pass', async () => {
  const { status, one } = await doctor(pathWith({ python3: python('3,12,1', { ensurepip: true, index: false }) }))
  expect(one('package index')).toMatchObject({ state: 'missing', cost: expect.stringContaining('PIP_INDEX_URL') })
  expect(one('git')).toMatchObject({ state: 'missing', cost: expect.stringContaining('commit') })
  expect(status).toBe(0)
})

test('doctor names a port that is taken', async () => {
  const server = createServer()
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const { port } = server.address() as { port: number }
  const wants = (name: string) =>
    doctor(pathWith({ python3: GOOD }), { ...FREE_PORTS, [`PLIMSOLL_SERVER_${name}`]: String(port) })
  const [taken, unused] = [await wants('PORT'), await wants('GRPC_PORT')]
  const env = { PATH: pathWith({ python3: GOOD }), ...FREE_PORTS, PLIMSOLL_SERVER_PORT: String(port) }
  const { out } = await openCommandLine(folder, undefined, env).run('doctor')
  server.close()
  expect(out.trim().split('\n').at(-1)).toBe(
    'Everything that is needed is here, but for ports: plimsoll up needs others, where 0 picks a free one: plimsoll up --port 0',
  )
  expect(taken.one('ports')).toMatchObject({ state: 'missing', found: `${port} cannot be had on 127.0.0.1` })
  expect(unused.one('ports')).toMatchObject({ state: 'ok' })
})

test('doctor looks at the data directory, and at the settings in it', async () => {
  const dataDir = join(folder, 'data')
  mkdirSync(dataDir)
  chmodSync(dataDir, 0o755)
  const path = pathWith({ python3: GOOD })
  const open = await doctor(path, {}, '--data-dir', dataDir)
  expect(open.one('data directory')).toMatchObject({
    state: 'problem',
    cost: expect.stringContaining(`chmod 700 ${dataDir}`),
  })
  chmodSync(dataDir, 0o700)
  writeFileSync(join(dataDir, 'plimsoll.yaml'), 'database:\n  kind: postgres\n')
  const faulty = await doctor(path, {}, '--data-dir', dataDir)
  expect(faulty.one('settings')).toMatchObject({
    state: 'problem',
    cost: '/database/url is needed with kind postgres',
  })
  const url = { PLIMSOLL_DATABASE_URL: 'postgres://user:secret-canary@127.0.0.1:1/x' }
  const durable = await doctor(path, url, '--data-dir', dataDir)
  expect(durable.one('loss of power')).toMatchObject({ state: 'ok' })
  expect(durable.one('database')).toMatchObject({
    state: 'problem',
    found: 'Cannot connect to PostgreSQL at 127.0.0.1:1/x: connection refused (ECONNREFUSED)',
    cost: expect.stringMatching(/^plimsoll up cannot start\. Check/),
  })
  expect(durable.status).toBe(5)
  expect(JSON.stringify(durable.findings)).not.toContain('secret-canary')
  const file = await doctor(path, {}, '--data-dir', join(dataDir, 'plimsoll.yaml', 'below'))
  expect(file.one('data directory')).toMatchObject({
    state: 'problem',
    found: expect.stringContaining('is no directory'),
  })
})

test('doctor says whether a token is asked for', async () => {
  const path = pathWith({ python3: GOOD })
  expect((await doctor(path)).one('token')).toMatchObject({
    state: 'missing',
    cost: expect.stringContaining('--require-token'),
  })
  expect((await doctor(path, { PLIMSOLL_AUTH_REQUIRE_TOKEN: 'true' })).one('token')).toMatchObject({ state: 'ok' })
})

test('doctor tells of predictions that were put aside, and only where there are any', async () => {
  const dataDir = mkdtempSync(join(folder, 'aside-'))
  const segments = join(dataDir, 'gateway', 'segments')
  mkdirSync(segments, { recursive: true })
  const path = pathWith({ python3: GOOD })
  expect((await doctor(path, {}, '--data-dir', dataDir)).one('predictions put aside')).toBeUndefined()
  writeFileSync(join(segments, 'boot_1-0.segment.damaged'), '12345')
  expect((await doctor(path, {}, '--data-dir', dataDir)).one('predictions put aside')).toMatchObject({
    state: 'missing',
    found: `1 file in ${segments}`,
  })
})
