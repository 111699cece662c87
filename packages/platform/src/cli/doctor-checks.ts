import { execFile } from 'node:child_process'
import { accessSync, constants, existsSync, readdirSync, readFileSync, statfsSync, statSync } from 'node:fs'
import { delimiter, dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { readEnvironment } from '../kernel/config/index.ts'
import { storageFindings } from './doctor-storage.ts'

const run = promisify(execFile)
const PROBE_TIMEOUT_MS = 15_000
const DISK_NEEDED_BYTES = 3 * 1024 ** 3
const MEMORY_NEEDED_BYTES = 3 * 1024 ** 3

export interface Finding {
  group: 'needed' | 'libraries' | 'optional servers' | 'storage' | 'isolation of steps' | 'durability'
  name: string
  state: 'ok' | 'missing' | 'problem'
  found: string
  /** What the lack costs, and what to do. */
  cost?: string
}

/** The first of the names on the PATH, or in one of the extra directories. */
function findBinary(names: readonly string[], extra: readonly string[] = []): string | undefined {
  const directories = [...(readEnvironment().PATH ?? '').split(delimiter).filter((part) => part !== ''), ...extra]
  for (const name of names) {
    for (const directory of directories) {
      try {
        accessSync(join(directory, name), constants.X_OK)
        return join(directory, name)
      } catch {
        // not here
      }
    }
  }
  return undefined
}

async function output(command: string, args: readonly string[]): Promise<string | undefined> {
  try {
    const { stdout, stderr } = await run(command, [...args], { timeout: PROBE_TIMEOUT_MS })
    return (stdout || stderr).trim()
  } catch {
    return undefined
  }
}

async function pythonFinding(): Promise<Finding> {
  const path = findBinary(['python3', 'python'])
  const cost =
    'Python steps cannot run. Install Python 3.10 or newer with venv (Debian: apt install python3 python3-venv)'
  if (path === undefined) return { group: 'needed', name: 'Python', state: 'problem', found: 'not found', cost }
  const version = await output(path, ['-c', 'import sys; print("%d.%d.%d" % sys.version_info[:3])'])
  const [major = 0, minor = 0] = (version ?? '').split('.').map(Number)
  if (version === undefined || major < 3 || (major === 3 && minor < 10))
    return { group: 'needed', name: 'Python', state: 'problem', found: `${path} is ${version ?? 'not usable'}`, cost }
  const venv = await output(path, ['-c', 'import venv, ensurepip; print("ok")'])
  if (venv !== 'ok')
    return {
      group: 'needed',
      name: 'Python',
      state: 'problem',
      found: `${version} at ${path}, without venv or ensurepip`,
      cost: 'Environments of Python steps cannot be made. Debian: apt install python3-venv',
    }
  return { group: 'needed', name: 'Python', state: 'ok', found: `${version} at ${path}, with venv and ensurepip` }
}

async function toolFinding(name: string, binary: string, isNeeded: boolean, cost: string): Promise<Finding> {
  const path = findBinary([binary])
  if (path === undefined)
    return { group: 'needed', name, state: isNeeded ? 'problem' : 'missing', found: 'not found', cost }
  return { group: 'needed', name, state: 'ok', found: (await output(path, ['--version']))?.split('\n')[0] ?? path }
}

function existingParent(path: string): string {
  for (let directory = resolve(path); ; directory = dirname(directory)) if (existsSync(directory)) return directory
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1024 ** 3).toFixed(1)} GiB`
}

function diskFinding(dataDir: string): Finding {
  const { bavail, bsize } = statfsSync(existingParent(dataDir))
  const free = bavail * bsize
  if (free >= DISK_NEEDED_BYTES) return { group: 'needed', name: 'disk', state: 'ok', found: `${gigabytes(free)} free` }
  return {
    group: 'needed',
    name: 'disk',
    state: 'problem',
    found: `${gigabytes(free)} free`,
    cost: `The example needs ${gigabytes(DISK_NEEDED_BYTES)}. Free some, or choose another --data-dir`,
  }
}

function memoryFinding(): Finding {
  const available = process.availableMemory()
  const isEnough = available >= MEMORY_NEEDED_BYTES
  return {
    group: 'needed',
    name: 'memory',
    state: isEnough ? 'ok' : 'missing',
    found: `${gigabytes(available)} available`,
    ...(isEnough ? {} : { cost: 'Training steps may be ended by the system' }),
  }
}

const LIBRARIES: [string, () => Promise<unknown>, string][] = [
  [
    'DuckDB',
    () => import('../processes/native-probe.ts').then((probe) => probe.loadDuckdb()),
    'Datasets, features and training sets do not work',
  ],
  [
    'LMDB',
    () => import('../processes/native-probe.ts').then((probe) => probe.loadLmdb()),
    'The embedded online store does not work',
  ],
  [
    'ONNX Runtime',
    () => import('../processes/native-probe.ts').then((probe) => probe.loadOnnx()),
    'Models cannot be checked or served here',
  ],
]

async function libraryFinding([name, load, cost]: (typeof LIBRARIES)[number]): Promise<Finding> {
  try {
    await load()
    return { group: 'libraries', name, state: 'ok', found: 'loads' }
  } catch (error) {
    return {
      group: 'libraries',
      name,
      state: 'problem',
      found: String((error as Error).message).split('\n')[0]!,
      cost: `${cost}. Run npm ci for this platform`,
    }
  }
}

function postgresDirectories(): string[] {
  try {
    return readdirSync('/usr/lib/postgresql').map((version) => join('/usr/lib/postgresql', version, 'bin'))
  } catch {
    return []
  }
}

function serverFinding(name: string, binaries: readonly string[], extra: readonly string[], cost: string): Finding {
  const path = findBinary(binaries, extra)
  return {
    group: 'optional servers',
    name,
    state: path ? 'ok' : 'missing',
    found: path ?? 'not found',
    ...(path ? {} : { cost: `${cost}; npm run setup:servers installs it` }),
  }
}

function cgroupFinding(): Finding {
  const cost = 'Memory and process limits of steps are per process (prlimit), not per group'
  try {
    const own = readFileSync('/proc/self/cgroup', 'utf8').match(/^0::(.*)$/m)?.[1]
    if (own === undefined || !existsSync('/sys/fs/cgroup/cgroup.controllers'))
      return { group: 'isolation of steps', name: 'cgroup v2', state: 'missing', found: 'not mounted', cost }
    accessSync(join('/sys/fs/cgroup', own), constants.W_OK)
    accessSync(join('/sys/fs/cgroup', own, 'cgroup.procs'), constants.W_OK)
    return { group: 'isolation of steps', name: 'cgroup v2', state: 'ok', found: `delegated at ${own}` }
  } catch {
    return {
      group: 'isolation of steps',
      name: 'cgroup v2',
      state: 'missing',
      found: 'not delegated to this user',
      cost,
    }
  }
}

function isolationFindings(): Finding[] {
  const prlimit = findBinary(['prlimit'])
  return [
    {
      group: 'isolation of steps',
      name: 'process group',
      state: process.platform === 'win32' ? 'missing' : 'ok',
      found: 'each attempt has its own; it is ended as a whole',
    },
    {
      group: 'isolation of steps',
      name: 'prlimit',
      state: prlimit ? 'ok' : 'missing',
      found: prlimit ?? 'not found',
      ...(prlimit
        ? {}
        : { cost: 'Steps run without limits on memory, files and processes. Debian: apt install util-linux' }),
    },
    cgroupFinding(),
    {
      group: 'isolation of steps',
      name: 'network and files',
      state: 'missing',
      found: 'not isolated',
      cost: 'Local steps are not a sandbox: run only code that you trust, or use Kubernetes',
    },
  ]
}

function durabilityFindings(dataDir: string): Finding[] {
  const findings: Finding[] = [
    {
      group: 'durability',
      name: 'death of a process',
      state: 'ok',
      found: 'survived: every acknowledged write is in the page cache',
    },
  ]
  try {
    const mode = statSync(dataDir).mode & 0o777
    findings.push({
      group: 'durability',
      name: 'data directory',
      state: mode === 0o700 ? 'ok' : 'problem',
      found: `${resolve(dataDir)}, mode ${mode.toString(8)}`,
      ...(mode === 0o700 ? {} : { cost: `Others can read it: chmod 700 ${resolve(dataDir)}` }),
    })
  } catch {
    findings.push({
      group: 'durability',
      name: 'data directory',
      state: 'ok',
      found: `${resolve(dataDir)} is made at the first start`,
    })
  }
  return findings
}

/** Everything that doctor looks at, in the order in which it is told. */
export async function findings(dataDir: string): Promise<Finding[]> {
  const libraries: Finding[] = []
  for (const library of LIBRARIES) libraries.push(await libraryFinding(library))
  return [
    { group: 'needed', name: 'Node', state: 'ok', found: `${process.versions.node} at ${process.execPath}` },
    await toolFinding('npm', 'npm', false, 'Packages cannot be installed or updated'),
    await pythonFinding(),
    await toolFinding('git', 'git', false, 'Passports lack the commit of the code'),
    diskFinding(dataDir),
    memoryFinding(),
    ...libraries,
    serverFinding('PostgreSQL', ['postgres'], postgresDirectories(), 'Tests on PostgreSQL are left out'),
    serverFinding('Redis', ['redis-server', 'valkey-server'], [], 'Tests on Redis are left out'),
    serverFinding(
      'Chromium',
      ['chromium', 'chromium-browser', 'google-chrome'],
      [],
      'Tests of the console in a browser are left out',
    ),
    ...isolationFindings(),
    ...storageFindings(dataDir),
    ...durabilityFindings(dataDir),
  ]
}
