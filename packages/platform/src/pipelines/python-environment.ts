import { spawn } from 'node:child_process'
import { mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../kernel/clock.ts'
import { type Digest, digestValue } from '../kernel/digest.ts'
import { PlimsollError } from '../kernel/errors.ts'
import { newId } from '../kernel/ids.ts'
import type { PythonIdentity } from './prepare.ts'

const BUILD_TIMEOUT_MS = 1_200_000
const OUTPUT_KEPT_CHARS = 20_000
const CANDIDATES = ['python3', 'python3.14', 'python3.13', 'python3.12', 'python3.11', 'python3.10', 'python']
const PROBE =
  'import sys, platform, json; print(json.dumps([list(sys.version_info[:3]), sys.implementation.name, platform.system().lower() + "-" + platform.machine(), sys.executable]))'

export interface Interpreter extends PythonIdentity {
  readonly path: string
}

export interface PythonEnvironments {
  /** The interpreter that environments are made from. @throws unavailable python.missing · python.too_old */
  interpreter(): Promise<Interpreter>
  /** Python of the environment of a lock, made once per (lock, interpreter, platform). `report` hears of progress. */
  require(lock: Digest | undefined, lockText: () => Promise<string>, report: (message: string) => void): Promise<string>
}

/** What says that an environment is whole, and where it is. */
interface Mark {
  readonly place: string
  readonly seconds: number
}

interface Ran {
  code: number | null
  output: string
}

function run(
  argv: readonly string[],
  environment: Record<string, string>,
  onLine: (line: string) => void = () => {},
): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(argv[0]!, argv.slice(1), {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: environment,
      timeout: BUILD_TIMEOUT_MS,
    })
    let output = ''
    const take = (chunk: Buffer) => {
      output = (output + chunk.toString('utf8')).slice(-OUTPUT_KEPT_CHARS)
      const line = chunk.toString('utf8').trim().split('\n').at(-1)
      if (line) onLine(line.slice(0, 200))
    }
    child.stdout.on('data', take)
    child.stderr.on('data', take)
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, output }))
  })
}

async function probe(
  candidate: string,
  environment: Record<string, string>,
): Promise<(Interpreter & { minor: number }) | undefined> {
  try {
    const { code, output } = await run([candidate, '-I', '-c', PROBE], environment)
    if (code !== 0) return undefined
    const [version, implementation, platform, path] = JSON.parse(output) as [number[], string, string, string] // printed by PROBE
    return {
      path,
      version: `${implementation}-${version.join('.')}`,
      platform,
      minor: version[0] === 3 ? version[1]! : 0,
    }
  } catch {
    return undefined
  }
}

const PYTHON_MINOR_MIN = 10

async function findInterpreter(environment: Record<string, string>): Promise<Interpreter> {
  let old: string | undefined
  for (const candidate of CANDIDATES) {
    const found = await probe(candidate, environment)
    if (found && found.minor >= PYTHON_MINOR_MIN)
      return { path: found.path, version: found.version, platform: found.platform }
    old ??= found?.version
  }
  throw old === undefined
    ? new PlimsollError(
        'unavailable',
        'python.missing',
        'Cannot run Python steps: there is no Python 3.10 or newer on the PATH',
        { action: 'Install Python (Debian: apt-get install python3 python3-venv)' },
      )
    : new PlimsollError(
        'unavailable',
        'python.too_old',
        `Cannot run Python steps: found ${old}, and 3.10 is the oldest that works`,
        { action: 'Install a newer Python' },
      )
}

/** What the installer said, for the log of the step that waited for it. */
export class InstallerFailure extends Error {
  readonly output: string

  constructor(output: string) {
    super('the installer failed')
    this.output = output
  }
}

const PACKAGES_NAMED_MAX = 5

/** Packages of the lock that pip refuses by their hashes; undefined when hashes are not what is wrong. */
function refusedHashes(output: string): string | undefined {
  const isMissing = /Hashes are required in --require-hashes mode/.test(output)
  if (!isMissing && !/DO NOT MATCH THE HASHES/.test(output)) return undefined
  const names = [...output.matchAll(/^ {4}(\S+) (?:from |--hash=)/gm)].map((found) => found[1]!.slice(0, 100))
  const named = names.length === 0 ? 'packages' : names.slice(0, PACKAGES_NAMED_MAX).join(', ')
  const more = names.length > PACKAGES_NAMED_MAX ? ` and ${names.length - PACKAGES_NAMED_MAX} more` : ''
  const isOne = names.length === 1
  const what = isMissing ? (isOne ? 'has no hash' : 'have no hash') : isOne ? 'has another hash' : 'have other hashes'
  return `${named}${more} ${what} ${isMissing ? 'in' : 'than in'} the lock`
}

/** What went wrong, from what pip said: one clear line. */
function explain(said: string): PlimsollError {
  // The address of an index may have a password in it, which not every pip hides.
  const output = said.replace(/(?<=:\/\/)[^\s/@]+(?=@)/g, '****')
  const { kind, code, message, details } = explained(output)
  return new PlimsollError(kind, code, message, details, new InstallerFailure(output))
}

function explained(output: string): PlimsollError {
  const refused = refusedHashes(output)
  if (refused !== undefined)
    return new PlimsollError('invalid', 'python.install_failed', `Cannot install the locked packages: ${refused}`, {
      action: 'Make the lock again, unless somebody changed the package. The log of the step has what pip said',
    })
  const line =
    output
      .split('\n')
      .reverse()
      .find((text) => /error/i.test(text))
      ?.trim()
      .slice(0, 400) ?? output.trim().slice(-400)
  if (/ensurepip|No module named (?:venv|pip)/.test(output)) {
    return new PlimsollError(
      'unavailable',
      'python.no_ensurepip',
      'Cannot make a Python environment: this Python has no ensurepip',
      { action: 'Install it (Debian: apt-get install python3-venv)' },
    )
  }
  if (
    /Failed to establish|Connection|Temporary failure|Name or service|timed out|No matching distribution/i.test(output)
  ) {
    return new PlimsollError(
      'unavailable',
      'python.no_index',
      `Cannot install the locked packages: the package index does not give them (${line})`,
      { action: 'Check the network, the index that pip is configured for, and the lock' },
    )
  }
  if (/No space left/i.test(output))
    return new PlimsollError('full', 'disk.full', 'Cannot make a Python environment: no disk space is left', {
      action: 'Free disk space and try again',
    })
  return new PlimsollError('invalid', 'python.install_failed', `Cannot install the locked packages: ${line}`)
}

/** Python of the environment that a mark names; undefined when there is no mark, or somebody removed the place. */
async function findMade(directory: string, mark: string): Promise<string | undefined> {
  const text = await readFile(mark, 'utf8').catch(() => undefined)
  if (text === undefined) return undefined
  const python = join(directory, (JSON.parse(text) as Mark).place, 'bin', 'python') // written whole by build
  return (await stat(python).catch(() => undefined)) && python
}

/** Removes what builds that were cut off have left. An installer that still runs there may write on: a later build removes that. */
async function removeRemains(directory: string, key: string): Promise<void> {
  for (const name of await readdir(directory))
    if (name === key || name.startsWith(`${key}_`))
      await rm(join(directory, name), { recursive: true, force: true }).catch(() => {})
}

/**
 * Every package is named by the lock with its hash, and nothing is built. Bytecode is left to the first import: to compile
 * every module takes three times as long as the installation, and most are never imported.
 */
const INSTALL = [
  ...['-I', '-m', 'pip', 'install', '--disable-pip-version-check', '--no-input'],
  ...['--require-hashes', '--no-deps', '--only-binary', ':all:', '--no-compile', '-r'],
]

/**
 * Environments below `directory`. Scripts of an environment hold absolute paths, so that each is made where it will stay:
 * in a place of its own, since the installer of a build that was killed with its control plane may still write to the place
 * of that one. `<key>.json` names the place once it is whole; a half-made one is never used.
 */
export function openPythonEnvironments(
  directory: string,
  environment: Record<string, string>,
  clock: Clock,
): PythonEnvironments {
  let interpreter: Promise<Interpreter> | undefined
  const building = new Map<string, Promise<string>>()
  const find = () => {
    interpreter ??= findInterpreter(environment).catch((error: unknown) => {
      interpreter = undefined
      throw error
    })
    return interpreter
  }

  const build = async (
    key: string,
    lockText: () => Promise<string>,
    report: (message: string) => void,
  ): Promise<string> => {
    const { path: base } = await find()
    const mark = join(directory, `${key}.json`)
    const known = await findMade(directory, mark)
    if (known !== undefined) return known
    await mkdir(directory, { recursive: true, mode: 0o700 })
    await removeRemains(directory, key)
    const place = newId(key)
    const final = join(directory, place)
    const python = join(final, 'bin', 'python')
    report('making a Python environment')
    const venv = await run([base, '-I', '-m', 'venv', final], environment)
    if (venv.code !== 0) throw explain(venv.output)
    const lock = join(final, 'requirements.lock')
    await writeFile(lock, await lockText())
    report('installing the locked packages')
    const startedMs = clock.monotonicMs()
    const installed = await run([python, ...INSTALL, lock], environment, (line) => report(`installing: ${line}`))
    if (installed.code !== 0) {
      await rm(final, { recursive: true, force: true })
      throw explain(installed.output)
    }
    const seconds = (clock.monotonicMs() - startedMs) / 1_000
    await writeFile(`${mark}.tmp`, JSON.stringify({ place, seconds } satisfies Mark))
    const file = await open(`${mark}.tmp`)
    await file.sync()
    await file.close()
    await rename(`${mark}.tmp`, mark)
    report(`the Python environment is ready, made in ${seconds.toFixed(1)} s`)
    return python
  }

  return {
    interpreter: find,
    async require(lock, lockText, report) {
      const { version, platform, path } = await find()
      if (lock === undefined) return path
      const key = digestValue({ lock, version, platform }).slice('sha256:'.length, 'sha256:'.length + 24)
      const running = building.get(key)
      if (running) {
        report('waiting for the Python environment')
        return running
      }
      const started = build(key, lockText, report).finally(() => building.delete(key))
      building.set(key, started)
      return started
    },
  }
}
