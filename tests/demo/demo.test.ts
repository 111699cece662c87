import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'

vi.setConfig({ testTimeout: 480_000, hookTimeout: 60_000 })

let scratch: string
let programs: string

/** A path that holds nothing but the named programs. */
function pathOf(names: readonly string[]): string {
  const folder = mkdtempSync(join(scratch, 'path-'))
  for (const name of names) {
    const found = spawnSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).stdout.trim()
    symlinkSync(found, join(folder, name))
  }
  return folder
}

function withPython(folder: string, script: string): string {
  writeFileSync(join(folder, 'python3'), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
  return folder
}

function demo(path: string, temporary = programs) {
  return spawnSync(process.execPath, ['scripts/demo.mjs', '--exit'], {
    encoding: 'utf8',
    env: { PATH: path, TMPDIR: temporary },
  })
}

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'plimsoll-demo-test-'))
  programs = join(scratch, 'tmp')
  mkdirSync(programs)
})
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

test.each([
  ['no python3', () => pathOf(['git']), 'demo: there is no python3; install Python 3.10 or newer\n'],
  [
    'a Python without ensurepip',
    () => withPython(pathOf(['git']), 'exit 1'),
    'demo: this Python cannot make environments; install its venv and ensurepip (Debian: apt-get install python3-venv)\n',
  ],
  [
    'an old Python',
    () => withPython(pathOf(['git']), 'echo False'),
    'demo: this Python is older than 3.10; install a newer one\n',
  ],
  [
    'no git',
    () => withPython(pathOf([]), 'echo True'),
    'demo: there is no git; install it: versions are released only with the commit that they were made from\n',
  ],
])('demo says in one line that there is %s', (_what, path, line) => {
  const { status, stderr, stdout } = demo(path())
  expect([status, stderr, stdout]).toEqual([1, line, ''])
})

test('demo says in one line that npm left out what is for this system', () => {
  const { status, stderr } = spawnSync(process.execPath, [join(process.cwd(), 'scripts/demo.mjs'), '--exit'], {
    encoding: 'utf8',
    cwd: scratch, // as a checkout whose packages are not there
    env: { PATH: withPython(pathOf(['git']), 'echo True'), TMPDIR: programs },
  })
  expect([status, stderr]).toEqual([
    1,
    `demo: @duckdb/node-bindings-${process.platform}-${process.arch} is not installed; run npm ci again, with npm 9.6.5 or newer (npm install --global npm@10)\n`,
  ])
})

test('demo says in one line that its folder cannot be used, or that it does not know a flag', () => {
  const { status, stderr } = demo(process.env.PATH!, join(scratch, 'absent'))
  expect([status, stderr]).toEqual([
    1,
    `demo: ${join(scratch, 'absent')} is no folder that can be written to; set TMPDIR to one\n`,
  ])
  const asked = spawnSync(process.execPath, ['scripts/demo.mjs', '--hlep'], { encoding: 'utf8' })
  expect([asked.status, asked.stderr]).toEqual([2, expect.stringMatching(/^demo: --hlep is not known; .*\n$/)])
})

test('demo --help prints each of its flags and makes nothing', () => {
  const { status, stderr, stdout } = spawnSync(process.execPath, ['scripts/demo.mjs', '--exit', '--help'], {
    encoding: 'utf8',
    env: { PATH: pathOf([]) }, // where a demo has nothing that it needs
  })
  expect([status, stderr]).toEqual([0, ''])
  for (const flag of ['--exit', '--json', '--help']) expect(stdout).toContain(`npm run demo -- ${flag} `)
})

test('demo says in one line that there is no space', () => {
  const { status, stderr } = demo(process.env.PATH!, '/proc')
  expect([status, stderr]).toEqual([
    1,
    'demo: /proc has 0.0 GiB free, the demo needs 4.0 GiB; free some, or set TMPDIR to a larger disk\n',
  ])
})

test('demo says in one line that a port of its platform is taken', async () => {
  const server = createServer()
  // Taken by somebody else is as good.
  await new Promise<void>((done) => server.once('error', () => done()).listen(7440, '127.0.0.1', done))
  try {
    const child = spawn(process.execPath, ['scripts/demo.mjs'], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, TMPDIR: programs },
    })
    let stderr = ''
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk))
    const status = await new Promise((done) => child.once('close', done))
    expect([status, stderr]).toEqual([
      1,
      'demo: port 7440 is taken; stop what uses it, or run npm run demo -- --exit, which takes free ones\n',
    ])
  } finally {
    server.close()
  }
})

/** The port of nobody: what looks for an index there is refused at once. */
function demoWithoutIndex(temporary: string) {
  return spawnSync(process.execPath, ['scripts/demo.mjs', '--exit'], {
    encoding: 'utf8',
    env: { ...process.env, TMPDIR: temporary, PIP_INDEX_URL: 'http://127.0.0.1:9/', PIP_EXTRA_INDEX_URL: '' },
  })
}

test('demo removes what ended demos have left, unless a platform was started on it', () => {
  const temporary = mkdtempSync(join(scratch, 'leftovers-'))
  const { pid: ended } = spawnSync('true')
  const lay = (name: string, demoPid: number, platformPid?: number) => {
    mkdirSync(join(temporary, name, 'data'), { recursive: true })
    writeFileSync(join(temporary, name, 'pid'), String(demoPid))
    if (platformPid !== undefined)
      writeFileSync(join(temporary, name, 'data', 'server.json'), JSON.stringify({ pid: platformPid }))
  }
  lay('plimsoll-demo-ended', ended)
  lay('plimsoll-demo-both-ended', ended, ended)
  lay('plimsoll-demo-served', ended, process.pid)
  lay('plimsoll-demo-going-on', process.pid)
  lay('other', ended)
  expect(demoWithoutIndex(temporary).status).toBe(1)
  expect(readdirSync(temporary).sort()).toEqual(['other', 'plimsoll-demo-going-on', 'plimsoll-demo-served'])
})

test('demo says in one line that there is no package index', () => {
  const { status, stderr, stdout } = demoWithoutIndex(programs)
  expect([status, stderr, stdout]).toEqual([
    1,
    expect.stringMatching(
      /^demo: no package index gives [\w-]+==[\w.]+; check the network, and the index that pip is configured for\n$/,
    ),
    '',
  ])
})

function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

/** Pids of all that a process has started, and that these have. */
function descendantsOf(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .trim()
    .split(' ')
    .filter(Boolean)
    .map(Number)
  return children.flatMap((child) => [child, ...descendantsOf(child)])
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ')
  } catch {
    return ''
  }
}

/** Starts a demo and waits until its platform is up. */
async function startDemo(): Promise<{ child: ChildProcess; work: string }> {
  const child = spawn(process.execPath, ['scripts/demo.mjs', '--exit'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, TMPDIR: programs }, // a demo of a user has the user's environment
  })
  let text = ''
  await new Promise<void>((done, refuse) => {
    child.stdout!.on('data', (chunk: Buffer) => {
      text += chunk.toString()
      if (text.includes('\n1. ')) done()
    })
    child.once('exit', (code) => refuse(new Error(`the demo ended with ${code}: ${text}`)))
  })
  return { child, work: /^Working in (.*)$/m.exec(text)![1]! }
}

test('a demo that is killed takes its platform with it, and the next one cleans up, runs, and ends at Ctrl-C', async () => {
  const killed = await startDemo()
  const orphans = descendantsOf(killed.child.pid!)
  // Launcher, supervisor, control plane, gateway, and a model host at least.
  expect(orphans.length).toBeGreaterThanOrEqual(5)
  killed.child.kill('SIGKILL')
  await vi.waitFor(() => expect(orphans.filter(isAlive)).toEqual([]), { timeout: 60_000, interval: 200 })
  expect(existsSync(killed.work)).toBe(true)

  const second = await startDemo()
  expect(existsSync(killed.work)).toBe(false)
  // A command is at work, too, which would ask a vanished platform again and again.
  let started: number[] = []
  let command: number[] = []
  await vi.waitFor(
    () => {
      started = descendantsOf(second.child.pid!)
      command = started.filter((pid) => commandOf(pid).includes(' dataset add '))
      expect(command).toHaveLength(2)
    },
    { timeout: 60_000, interval: 20 },
  )
  const ended = new Promise((done) => second.child.once('exit', (code) => done(code)))
  second.child.kill('SIGINT')
  expect(await ended).toBe(130)
  expect(command.filter(isAlive)).toEqual([])
  // Helpers end by themselves when the process that they served has gone.
  await vi.waitFor(() => expect(started.filter(isAlive)).toEqual([]), { timeout: 30_000, interval: 100 })
  expect(existsSync(second.work)).toBe(false)
})
