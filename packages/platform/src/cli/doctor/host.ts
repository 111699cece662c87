import { accessSync, constants, existsSync, readdirSync, readFileSync, statfsSync, statSync } from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join, resolve } from 'node:path'
import { type Config, isLoopback } from '../../kernel/config/index.ts'
import { type Finding, findBinary, gibibytes } from './finding.ts'

const NEEDED_BYTES = 3 * 1024 ** 3
/** From statfs(2): file systems on which a database must not lie, or that do not last. */
const FILE_SYSTEMS: Readonly<Record<number, string>> = {
  26985: 'NFS',
  4283649346: 'CIFS',
  4266872130: 'SMB',
  16914836: 'tmpfs, which a restart of the machine empties',
}

function existingParent(path: string): string {
  for (let directory = resolve(path); ; directory = dirname(directory)) if (existsSync(directory)) return directory
}

function diskFinding(dataDir: string): Finding {
  const { bavail, bsize } = statfsSync(existingParent(dataDir))
  const free = bavail * bsize
  const about = { group: 'needed', name: 'disk', found: `${gibibytes(free)} free` } as const
  if (free >= NEEDED_BYTES) return { ...about, state: 'ok' }
  return {
    ...about,
    state: 'problem',
    cost: `The example needs ${gibibytes(NEEDED_BYTES)}. Free some, or choose another --data-dir`,
  }
}

function memoryFinding(): Finding {
  const available = process.availableMemory()
  const about = { group: 'needed', name: 'memory', found: `${gibibytes(available)} available` } as const
  if (available >= NEEDED_BYTES) return { ...about, state: 'ok' }
  return { ...about, state: 'missing', cost: 'Training steps may be ended by the system' }
}

function isFree(host: string, port: number): Promise<boolean> {
  return new Promise((done) => {
    const probe = createServer()
    probe.once('error', () => done(false))
    probe.listen({ host, port, exclusive: true }, () => probe.close(() => done(true)))
  })
}

/** Pid of the platform that runs on this data directory, by the file that it leaves. */
export function runningPid(dataDir: string): number | undefined {
  try {
    const { pid } = JSON.parse(readFileSync(join(dataDir, 'server.json'), 'utf8')) as { pid: number } // written by plimsoll up
    process.kill(pid, 0)
    return pid
  } catch {
    return undefined
  }
}

async function portFinding({ server, dataDir }: Config): Promise<Finding> {
  const about = { group: 'needed', name: 'ports' } as const
  const pid = runningPid(dataDir)
  if (pid !== undefined) return { ...about, state: 'ok', found: `Plimsoll runs here already, as process ${pid}` }
  const flags = [
    ['--port', server.port],
    ['--gateway-port', server.gatewayPort],
  ] as const
  const wanted = flags.filter(([, port]) => port !== 0)
  const taken: (typeof wanted)[number][] = []
  for (const one of wanted) if (!(await isFree(server.host, one[1]))) taken.push(one)
  const listed = (some: typeof wanted) => some.map(([, port]) => port).join(', ')
  if (taken.length === 0) return { ...about, state: 'ok', found: `${listed(wanted)} are free on ${server.host}` }
  return {
    ...about,
    state: 'missing',
    found: `${listed(taken)} cannot be had on ${server.host}`,
    cost: `plimsoll up needs others, where 0 picks a free one: plimsoll up ${taken.map(([flag]) => `${flag} 0`).join(' ')}`,
  }
}

function dataDirectoryFinding(dataDir: string): Finding {
  const about = { group: 'durability', name: 'data directory' } as const
  const path = resolve(dataDir)
  const parent = existingParent(path)
  if (!statSync(parent).isDirectory())
    return { ...about, state: 'problem', found: `${parent} is no directory`, cost: 'Choose another --data-dir' }
  try {
    accessSync(parent, constants.W_OK | constants.X_OK)
  } catch {
    const cost = 'plimsoll up cannot start. Correct the permissions, or choose another --data-dir'
    return { ...about, state: 'problem', found: `${parent} cannot be written`, cost }
  }
  const mode = parent === path ? statSync(path).mode & 0o777 : undefined
  if (mode !== undefined && (mode & 0o077) !== 0) {
    const cost = `Others can read it: chmod 700 ${path}`
    return { ...about, state: 'problem', found: `${path}, mode ${mode.toString(8)}`, cost }
  }
  const unfit = FILE_SYSTEMS[statfsSync(parent).type]
  if (unfit !== undefined)
    return {
      ...about,
      state: 'missing',
      found: `${path} lies on ${unfit}`,
      cost: 'Locks and flushes may not hold there: keep data that matters on a local disk',
    }
  const found = mode === undefined ? `${path} is made at the first start` : `${path}, mode ${mode.toString(8)}`
  return { ...about, state: 'ok', found }
}

/** Disk, memory and ports. */
export async function hostFindings(config: Config): Promise<Finding[]> {
  return [diskFinding(config.dataDir), memoryFinding(), await portFinding(config)]
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
  const about = { group: 'optional servers', name } as const
  if (path !== undefined) return { ...about, state: 'ok', found: path }
  return { ...about, state: 'missing', found: 'not found', cost: `${cost}; npm run setup:servers installs it` }
}

/** Servers that only some tests need. */
export function serverFindings(): Finding[] {
  const browsers = ['chromium', 'chromium-browser', 'google-chrome']
  return [
    serverFinding('PostgreSQL', ['postgres'], postgresDirectories(), 'Tests on PostgreSQL are left out'),
    serverFinding('Redis', ['redis-server', 'valkey-server'], [], 'Nothing asks for it yet'),
    serverFinding('Chromium', browsers, [], 'Tests of the console in a browser are left out'),
  ]
}

/** Who may do what: as what runs shows it, else as configured. */
export function accessFindings({ server, auth }: Config, asksForToken = auth.requireToken): Finding[] {
  const about = { group: 'access', name: 'token' } as const
  if (asksForToken)
    return [{ ...about, state: 'ok', found: 'asked for, on loopback too, by control plane and gateway' }]
  if (!isLoopback(server.host)) return []
  return [
    {
      ...about,
      state: 'missing',
      found: `not asked for on ${server.host}`,
      cost: 'Whoever has an account on this machine can look and work, but not approve or release. Where others have one, start with --require-token',
    },
  ]
}

/** What survives what, as configured. */
export function durabilityFindings({ database, dataDir }: Config): Finding[] {
  const about = { group: 'durability' } as const
  return [
    {
      ...about,
      name: 'death of a process',
      state: 'ok',
      found: 'survived: every acknowledged write has left the process',
    },
    database.kind === 'pglite'
      ? {
          ...about,
          name: 'loss of power',
          state: 'missing',
          found: 'not survived by the embedded database, which never flushes',
          cost: 'Use PostgreSQL (database.kind: postgres) where it matters; blobs and the journal are flushed',
        }
      : {
          ...about,
          name: 'loss of power',
          state: 'ok',
          found: 'as PostgreSQL is set up (fsync); the journal is flushed',
        },
    dataDirectoryFinding(dataDir),
  ]
}
