// What the demo needs of this machine, told in one line each before anything is made.
import { spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statfsSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isRunning } from '../is-running.mjs'
import { gib } from './marks.mjs'
import { fail, isExit } from './terminal.mjs'

export const WORK_PREFIX = 'plimsoll-demo-'
const FREE_BYTES_MIN = 4 * 2 ** 30

const failOfFolder = () => fail(`${tmpdir()} is no folder that can be written to`, 'set TMPDIR to one')

/** A folder for what it makes, before anything looks into it. */
export function needFolder() {
  try {
    readdirSync(tmpdir())
  } catch {
    failOfFolder()
  }
}

/** Python ≥ 3.10 that can make environments. */
export function needPython() {
  const probe = 'import sys, ensurepip, venv; print(sys.version_info >= (3, 10))'
  const { status, stdout } = spawnSync('python3', ['-c', probe], { encoding: 'utf8' })
  if (status === null) fail('there is no python3', 'install Python 3.10 or newer')
  if (status !== 0)
    fail(
      'this Python cannot make environments',
      'install its venv and ensurepip (Debian: apt-get install python3-venv)',
    )
  if (!stdout.includes('True')) fail('this Python is older than 3.10', 'install a newer one')
}

/** A package index, before minutes of work that end for want of it. A Python without pip of its own is asked later. */
export function needIndex() {
  const lock = readFileSync('examples/flight-delay/steps/requirements.lock', 'utf8')
  const [, first] = /^([\w.-]+==[\w.]+) \\$/m.exec(lock)
  const folder = mkdtempSync(join(tmpdir(), 'plimsoll-index-'))
  const quiet = [
    '--disable-pip-version-check',
    '--no-input',
    '--quiet',
    '--no-deps',
    '--retries',
    '1',
    '--timeout',
    '10',
  ]
  const { status, stderr } = spawnSync('python3', ['-m', 'pip', 'download', ...quiet, '--dest', folder, first], {
    encoding: 'utf8',
  })
  rmSync(folder, { recursive: true, force: true })
  if (status !== 0 && !stderr.includes('No module named pip'))
    fail(`no package index gives ${first}`, 'check the network, and the index that pip is configured for')
}

export function needGit() {
  if (spawnSync('git', ['--version']).status !== 0)
    fail('there is no git', 'install it: versions are released only with the commit that they were made from')
}

/** npm before 9.6.5, as Node 20.0 and 20.1 bring it, takes every system for one without glibc and leaves out what is for it. */
export function needPackages() {
  const name = `@duckdb/node-bindings-${process.platform}-${process.arch}`
  if (!existsSync(join('node_modules', name)))
    fail(`${name} is not installed`, 'run npm ci again, with npm 9.6.5 or newer (npm install --global npm@10)')
}

export function needSpace() {
  const { bavail, bsize } = statfsSync(tmpdir())
  if (bavail * bsize < FREE_BYTES_MIN)
    fail(
      `${tmpdir()} has ${gib(bavail * bsize)} free, the demo needs ${gib(FREE_BYTES_MIN)}`,
      'free some, or set TMPDIR to a larger disk',
    )
  try {
    accessSync(tmpdir(), constants.W_OK | constants.X_OK)
  } catch {
    failOfFolder()
  }
}

/** The ports on which the platform of a demo that stays up listens, as anybody would look for them. */
const PORTS = [7440, 7441]

function isFree(port) {
  return new Promise((done) => {
    const server = createServer()
    server.once('error', () => done(false))
    server.listen(port, '127.0.0.1', () => server.close(() => done(true)))
  })
}

export async function needPorts() {
  if (isExit) return // it takes any
  for (const port of PORTS)
    if (!(await isFree(port)))
      fail(`port ${port} is taken`, 'stop what uses it, or run npm run demo -- --exit, which takes free ones')
}

/** Somebody may have started a platform on what an earlier demo has left: it notes its process as well. */
function isServed(folder) {
  try {
    return isRunning(JSON.parse(readFileSync(join(folder, 'data', 'server.json'), 'utf8')).pid)
  } catch {
    return false // none, or a torn one
  }
}

/** Removes what demos that were killed have left behind: each notes its process in its folder. */
export function removeLeftovers() {
  for (const name of readdirSync(tmpdir()).filter((entry) => entry.startsWith(WORK_PREFIX))) {
    const folder = join(tmpdir(), name)
    try {
      const pid = Number(readFileSync(join(folder, 'pid'), 'utf8'))
      if (!isRunning(pid) && !isServed(folder)) rmSync(folder, { recursive: true, force: true })
    } catch {
      // no folder of a demo, or not ours to remove
    }
  }
}
