import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { LAUNCHER } from '../cli/process.fixture.ts'
import { layDatabase } from '../kernel/db/database-template.fixture.ts'
import { lockDirectory } from '../kernel/directory-lock.ts'

// Each case starts the whole platform, some twice; a loaded machine takes its time.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 })

const WAIT = { timeout: 45_000, interval: 50 }

interface Ready {
  ready: boolean
  api: string
  gateway: string | null
  pid: number
}

let dataDir: string
let started: Up[] = []

class Up {
  readonly child: ChildProcess
  stderr = ''
  readonly exit: Promise<{ code: number | null; signal: string | null }>
  readonly firstLine: Promise<string | undefined>

  /** Ended behind its test, unless it has a directory of its own. */
  constructor(args: readonly string[] = [], env: Record<string, string> = {}, directory?: string) {
    this.child = spawn(
      'node',
      [
        LAUNCHER,
        'up',
        '--data-dir',
        directory ?? dataDir,
        '--port',
        '0',
        '--gateway-port',
        '0',
        '--grpc-port',
        '0',
        '--json',
        ...args,
      ],
      { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } },
    )
    this.exit = new Promise((done) => this.child.once('close', (code, signal) => done({ code, signal })))
    this.child.stderr!.on('data', (chunk) => {
      this.stderr += String(chunk)
    })
    const lines = createInterface({ input: this.child.stdout! })
    this.firstLine = new Promise((done) => {
      lines.once('line', (line) => done(line))
      lines.once('close', () => done(undefined))
    })
    if (directory === undefined) started.push(this)
  }

  async ready(): Promise<Ready> {
    const line = await this.firstLine
    if (line === undefined) throw new Error(`up ended: ${this.stderr}`)
    return JSON.parse(line) as Ready
  }
}

/** A data directory whose database is there: the other cases begin with none. */
const layData = () => layDatabase(join(dataDir, 'database'), { isMigrated: true })

/** Pids of the children of a process, from /proc. */
function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .trim()
    .split(' ')
    .filter((part) => part !== '')
    .map(Number)
}

function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

function pidOf(supervisor: number, entry: string): number | undefined {
  return childrenOf(supervisor).find((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`processes/${entry}.ts`)
    } catch {
      return false
    }
  })
}

const health = async (url: string) => {
  try {
    return (await fetch(`${url}/health`)).status
  } catch {
    return 0
  }
}

beforeEach(() => {
  dataDir = join(mkdtempSync(join(tmpdir(), 'plimsoll-up-')), 'data')
})
afterEach(async () => {
  for (const up of started) up.child.kill('SIGTERM')
  await Promise.all(started.map((up) => up.exit))
  started = []
  rmSync(resolve(dataDir, '..'), { recursive: true, force: true })
})

test.runIf(process.platform === 'linux')(
  'up is ready, drains on SIGTERM and exits 0, and leaves nothing behind',
  async () => {
    const up = new Up()
    const ready = await up.ready()
    expect(ready).toMatchObject({ ready: true, api: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/) })
    expect(await health(ready.api)).toBe(200)
    expect(statSync(dataDir).mode & 0o777).toBe(0o700)
    expect(statSync(join(dataDir, 'operator-token')).mode & 0o777).toBe(0o600)
    expect(statSync(join(dataDir, 'signing-key.json')).mode & 0o777).toBe(0o600)
    const children = childrenOf(ready.pid)
    for (const pid of children)
      expect(readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')).toContain('--disable-proto=delete')
    up.child.kill('SIGTERM')
    expect(await up.exit).toEqual({ code: 0, signal: null })
    expect(children.filter(isAlive)).toEqual([])
    expect(existsSync(join(dataDir, 'server.json'))).toBe(false)
  },
)

test('a gateway that is stopped by SIGTERM serves for its drain delay, and Ctrl-C does not wait for that', async () => {
  await layData()
  const interrupted = new Up([], { PLIMSOLL_GATEWAY_DRAIN_DELAY_MS: '600000' })
  await interrupted.ready()
  interrupted.child.kill('SIGINT')
  expect(await interrupted.exit).toEqual({ code: 0, signal: null })
  const up = new Up([], { PLIMSOLL_GATEWAY_DRAIN_DELAY_MS: '3000' })
  const { gateway } = await up.ready()
  up.child.kill('SIGTERM')
  const live = async () => {
    const answer = await fetch(`${gateway}/v2/health/live`)
    return [answer.status, answer.headers.get('connection')]
  }
  await expect.poll(live, WAIT).toEqual([200, 'close'])
  expect(await up.exit).toEqual({ code: 0, signal: null })
})

describe('one platform', () => {
  let own: string
  let up: Up
  let ready: Ready
  beforeAll(async () => {
    own = join(mkdtempSync(join(tmpdir(), 'plimsoll-up-')), 'data')
    await layDatabase(join(own, 'database'), { isMigrated: true })
    up = new Up([], {}, own)
    ready = await up.ready()
  })
  afterAll(async () => {
    up.child.kill('SIGTERM')
    await up.exit
    rmSync(resolve(own, '..'), { recursive: true, force: true })
  })

  test('refuses a second start on its data directory in one line that names the holder', async () => {
    const second = new Up([], {}, own)
    onTestFinished(async () => {
      second.child.kill('SIGTERM')
      await second.exit
    })
    expect(await second.exit).toEqual({ code: 5, signal: null })
    expect((JSON.parse(second.stderr) as { error: unknown }).error).toEqual({
      code: 'pglite.directory_in_use',
      message: `Cannot use ${own}: Plimsoll runs there already, as process ${ready.pid}`,
      action: `End that one with Ctrl-C or kill ${ready.pid}, or choose another --data-dir`,
    })
  })

  test.runIf(process.platform === 'linux')('brings a killed gateway back on its port', async () => {
    const first = pidOf(ready.pid, 'gateway')!
    process.kill(first, 'SIGKILL')
    await expect.poll(() => isAlive(first), WAIT).toBe(false)
    await expect
      .poll(async () => (await fetch(`${ready.gateway}/v2/health/live`).catch(() => undefined))?.status, WAIT)
      .toBe(200)
  })

  test.runIf(process.platform === 'linux')(
    'brings a killed control plane back on its port while the gateway goes on',
    async () => {
      const first = pidOf(ready.pid, 'control-plane')!
      const gateway = pidOf(ready.pid, 'gateway')
      expect(gateway).toBeDefined()
      const token = readFileSync(join(own, 'operator-token'), 'utf8')
      process.kill(first, 'SIGKILL')
      await expect.poll(() => isAlive(first), WAIT).toBe(false)
      await expect.poll(() => health(ready.api), WAIT).toBe(200)
      expect(pidOf(ready.pid, 'control-plane')).not.toBe(first)
      expect(pidOf(ready.pid, 'gateway')).toBe(gateway)
      expect(readFileSync(join(own, 'operator-token'), 'utf8')).toBe(token)
    },
  )

  // The last one: it ends the platform that the others use.
  test.runIf(process.platform === 'linux')('ends when its launcher is killed', async () => {
    up.child.kill('SIGKILL')
    await expect.poll(() => isAlive(ready.pid), WAIT).toBe(false)
  })
})

test.runIf(process.platform === 'linux')(
  'a killed supervisor takes its children with it, and a second start works at once',
  async () => {
    await layData()
    const up = new Up()
    const ready = await up.ready()
    const children = childrenOf(ready.pid)
    process.kill(ready.pid, 'SIGKILL')
    const second = new Up()
    expect((await second.ready()).ready).toBe(true)
    expect(children.filter(isAlive)).toEqual([])
    for (const name of ['control-plane', 'gateway'])
      expect(readFileSync(join(dataDir, 'logs', `${name}.log`), 'utf8')).toContain('has closed')
  },
)

test.runIf(process.platform === 'linux')(
  'a gateway waits until no other one writes to its directory, also when the last supervisor had not become ready',
  async () => {
    await layData()
    mkdirSync(join(dataDir, 'gateway'), { recursive: true })
    const unlock = await lockDirectory(join(dataDir, 'gateway'), 'serving.directory_in_use')
    const up = new Up()
    const log = () => readFileSync(join(dataDir, 'logs/gateway.log'), 'utf8')
    await expect
      .poll(() => existsSync(join(dataDir, 'logs/gateway.log')) && log(), { ...WAIT, timeout: 120_000 })
      .toContain('directory_in_use')
    await unlock()
    expect((await up.ready()).ready).toBe(true)
  },
)

/** Starts on a port that is taken, which is one line, and nothing on standard output. */
async function refuseTaken(option: string): Promise<void> {
  const blocker = createServer()
  await new Promise<void>((done) => blocker.listen(0, '127.0.0.1', done))
  const { port } = blocker.address() as { port: number }
  const up = new Up([option, String(port)])
  expect(await up.exit).toEqual({ code: 5, signal: null })
  expect(JSON.parse(up.stderr)).toMatchObject({
    error: {
      code: 'http.port_taken',
      message: `Cannot listen on 127.0.0.1:${port}: the port is taken`,
      action: `Stop what uses it, or choose another ${option}; both free: --port 0 --gateway-port 0`,
    },
  })
  expect(await up.firstLine).toBeUndefined()
  blocker.close()
}

test.each(['--port', '--gateway-port'])(
  'a taken %s is one line and exit status 5, and nothing is made',
  async (option) => {
    await refuseTaken(option)
    expect(existsSync(dataDir)).toBe(false)
  },
)

test.each(['--port', '--gateway-port'])(
  'a taken %s in a data directory that is there is one line, and leaves the directory to the next start',
  async (option) => {
    await layData()
    await refuseTaken(option)
    expect(existsSync(join(dataDir, 'server.json'))).toBe(false)
    for (const [name, code] of [
      ['database', 'pglite.directory_in_use'],
      ['gateway', 'serving.directory_in_use'],
    ] as const) {
      const directory = join(dataDir, name)
      mkdirSync(directory, { recursive: true })
      const unlock = await lockDirectory(directory, code)
      await unlock()
    }
  },
)

test('every problem of the settings is told at once, with exit status 2', async () => {
  const up = new Up(['--host', '0.0.0.0', '--port', '99999'])
  expect(await up.exit).toEqual({ code: 2, signal: null })
  const { error } = JSON.parse(up.stderr) as { error: { code: string; faults: { pointer: string }[] } }
  expect(error.faults.map((fault) => fault.pointer)).toEqual([
    '/server/port',
    '/auth/requireToken',
    '/server/behindProxy',
    '/server/acceptPgliteLoss',
  ])
})

test('up on every address prints addresses that answer, and warns where there is no Python', async () => {
  await layData()
  const up = new Up(['--host', '0.0.0.0'], {
    PLIMSOLL_AUTH_REQUIRE_TOKEN: 'true',
    PLIMSOLL_SERVER_BEHIND_PROXY: 'true',
    PLIMSOLL_SERVER_ACCEPT_PGLITE_LOSS: 'true',
    PATH: dirname(process.execPath),
  })
  const { api, gateway } = await up.ready()
  expect(await health(api)).toBe(200)
  expect((await fetch(`${gateway}/v2/health/live`)).status).toBe(200)
  await expect.poll(() => up.stderr).toMatch(/"warning":"Cannot run Python steps: .* Install Python/)
})

test('a data directory keeps the clock that it was made with', async () => {
  await layData()
  const up = new Up(['--replay-origin', '2001-01-01T00:00:00Z', '--replay-rate', '60'])
  const { api } = await up.ready()
  expect(await (await fetch(`${api}/health`)).json()).toMatchObject({
    time: expect.stringMatching(/^2001-01-01/),
    replay_rate: 60,
  })
  up.child.kill('SIGTERM')
  await up.exit
  const other = new Up(['--replay-origin', '2002-01-01T00:00:00Z'])
  expect(await other.exit).toEqual({ code: 1, signal: null })
  const message = expect.stringMatching(/created with a replay clock from 2001-01-01T00:00:00\.000Z on at rate 60$/)
  const action = expect.stringMatching(/^Leave out --replay-origin and --replay-rate, or /)
  expect(JSON.parse(other.stderr)).toMatchObject({ error: { code: 'data_dir.clock_fixed', message, action } })
})

const FULL_DISK = resolve(import.meta.dirname, 'full-disk.fixture.ts')

test('a platform whose disk is full says so, loses nothing that was acknowledged, and goes on when there is room', async (context) => {
  // In mounts of its own a process may have a small disk, where its user may make them.
  const mounted = spawnSync('unshare', ['-rm', 'mount', '-t', 'tmpfs', 'none', '/mnt'])
  if (mounted.status !== 0) return context.skip('this user may not mount a disk of a small size')
  mkdirSync(dataDir, { recursive: true })
  const { stdout } = await promisify(execFile)('unshare', ['-rm', process.execPath, FULL_DISK, dataDir])
  const seen = JSON.parse(stdout) as { kept: number; refusal: { body: string } }
  expect(seen).toMatchObject({
    refusal: { status: 507, body: expect.stringContaining('"code":"db.disk_full"') },
    refused: { status: 5, out: '', err: expect.stringMatching(/^plimsoll: .*disk space.*\n$/) },
    lost: [],
    verified: 0,
    ended: 0,
  })
  expect(seen.kept).toBeGreaterThan(0)
})
