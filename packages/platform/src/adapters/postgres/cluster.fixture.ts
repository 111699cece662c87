import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import pg from 'pg'

export interface TestCluster {
  /** Address of a new, empty database. */
  createDatabase(): Promise<string>
  /** Runs a statement as superuser on the maintenance database. */
  run(sql: string): Promise<Record<string, unknown>[]>
  stop(): Promise<void>
  start(): Promise<void>
  close(): Promise<void>
}

/** PostgreSQL refuses to run as root: the packaged user, or nobody. */
function ownerOf(): { uid?: number; gid?: number } {
  if (process.getuid?.() !== 0) return {}
  for (const name of ['postgres', 'nobody']) {
    try {
      const id = (flag: string) => Number(execFileSync('id', [flag, name], { encoding: 'utf8', stdio: 'pipe' }))
      return { uid: id('-u'), gid: id('-g') }
    } catch {}
  }
  return {}
}

async function findPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

/** A private cluster in a temporary directory on a free port of the loopback. */
export async function startCluster(initdb: string): Promise<TestCluster> {
  const owner = ownerOf()
  const directory = mkdtempSync(join(tmpdir(), 'plimsoll-pg-'))
  if (owner.uid !== undefined) chownSync(directory, owner.uid, owner.gid ?? owner.uid)
  const data = join(directory, 'data')
  const common = { ...owner, cwd: directory, stdio: 'pipe' } as const
  execFileSync(initdb, ['-D', data, '-U', 'plimsoll', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync'], common)
  const port = await findPort()
  const urlOf = (database: string) => `postgres://plimsoll@127.0.0.1:${port}/${database}`
  const args = [
    '-D',
    data,
    '-p',
    String(port),
    '-h',
    '127.0.0.1',
    '-k',
    directory,
    '-c',
    'fsync=off',
    '-c',
    'max_connections=60',
  ]
  let server: ChildProcess | undefined
  let databases = 0
  const reap = () => server?.kill('SIGQUIT')
  process.once('exit', reap)

  const run = async (sql: string) => {
    const client = new pg.Client({ connectionString: urlOf('postgres') })
    client.on('error', () => {})
    await client.connect()
    try {
      return (await client.query<Record<string, unknown>>(sql)).rows
    } finally {
      await client.end()
    }
  }
  const start = async () => {
    server = spawn(join(dirname(initdb), 'postgres'), args, { ...owner, cwd: directory, stdio: 'ignore' })
    for (let attempt = 0; ; attempt++) {
      try {
        await run('select 1')
        return
      } catch (error) {
        if (attempt > 200 || server.exitCode !== null) throw error
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    }
  }
  const stop = async () => {
    if (!server || server.exitCode !== null || server.signalCode !== null) return
    const ended = once(server, 'exit')
    server.kill('SIGINT')
    await ended
  }
  await start()
  return {
    run,
    start,
    stop,
    createDatabase: async () => {
      const name = `t${++databases}`
      await run(`create database ${name}`)
      return urlOf(name)
    },
    close: async () => {
      await stop()
      process.off('exit', reap)
      rmSync(directory, { recursive: true, force: true })
    },
  }
}
