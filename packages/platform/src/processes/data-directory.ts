import { chmod, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isWholeKey, newSigningKey, type SigningKey } from '../kernel/auth/verify/index.ts'
import { type Clock, type ReplayClockSettings, realClock, replayClock } from '../kernel/clock.ts'
import { errnoText } from '../kernel/errno-text.ts'
import { PlimsollError } from '../kernel/errors.ts'
import { makeFolder } from '../kernel/folder.ts'

/** Where things are in a data directory. */
export function dataPaths(dataDir: string) {
  return {
    database: join(dataDir, 'database'),
    blobs: join(dataDir, 'blobs'),
    uploads: join(dataDir, 'uploads'),
    ledgerJournal: join(dataDir, 'journal', 'ledger.log'),
    logs: join(dataDir, 'logs'),
    runs: join(dataDir, 'runs'),
    environments: join(dataDir, 'environments'),
    online: join(dataDir, 'online'),
    gateway: join(dataDir, 'gateway'),
    server: join(dataDir, 'server.json'),
    operatorToken: join(dataDir, 'operator-token'),
    secrets: join(dataDir, 'secrets'),
    clock: join(dataDir, 'clock.json'),
    signingKey: join(dataDir, 'signing-key.json'),
  } as const
}

/** Makes the directory, readable by its owner alone. @throws unavailable data_dir.cannot_open */
export async function openDataDirectory(dataDir: string): Promise<ReturnType<typeof dataPaths>> {
  const paths = dataPaths(dataDir)
  try {
    makeFolder(dataDir, 0o700)
    await chmod(dataDir, 0o700)
    for (const path of [paths.logs, paths.secrets]) await mkdir(path, { recursive: true, mode: 0o700 })
    await writeFile(join(dataDir, '.gitignore'), '*\n', { mode: 0o600 })
  } catch (error) {
    throw new PlimsollError(
      'unavailable',
      'data_dir.cannot_open',
      `Cannot use the data directory ${dataDir}: ${errnoText(error)}`,
      { action: 'Choose another --data-dir, or correct its permissions' },
      error,
    )
  }
  return paths
}

/** Replaces a file as a whole. */
export async function writeWhole(path: string, text: string): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`
  await writeFile(temporary, text, { mode: 0o600 })
  await rename(temporary, path)
}

async function readJson<T>(path: string): Promise<T | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as T // written by us alone
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw damaged(path, error)
  }
}

function damaged(path: string, cause?: unknown): PlimsollError {
  const action = 'Put back a whole copy of the file'
  return new PlimsollError('unavailable', 'data_dir.damaged', `Cannot read ${path}: it is damaged`, { action }, cause)
}

function replayText(replay: ReplayClockSettings | null): string {
  if (replay === null) return 'the real clock'
  return `a replay clock from ${new Date(replay.originMs).toISOString()} on at rate ${replay.rate}`
}

/** The clock that this data directory was created with: once a replay clock, always that one. */
export async function openDirectoryClock(
  dataDir: string,
  wanted: { originMs: number; rate: number } | undefined,
): Promise<{ clock: Clock; replay: ReplayClockSettings | undefined }> {
  const { clock: path, database } = dataPaths(dataDir)
  const stored = await readJson<{ replay: ReplayClockSettings | null }>(path)
  if (stored !== undefined) {
    if (wanted && (stored.replay?.originMs !== wanted.originMs || stored.replay.rate !== wanted.rate)) {
      throw new PlimsollError(
        'precondition',
        'data_dir.clock_fixed',
        `Cannot change the clock of ${dataDir}: it was created with ${replayText(stored.replay)}`,
        {
          action: `Leave out --replay-origin and --replay-rate, or choose a new --data-dir (this one has ${database})`,
        },
      )
    }
    return { clock: stored.replay ? replayClock(stored.replay) : realClock, replay: stored.replay ?? undefined }
  }
  const replay = wanted && { ...wanted, startedAtMs: realClock.nowMs() }
  await writeWhole(path, JSON.stringify({ replay: replay ?? null }))
  return { clock: replay ? replayClock(replay) : realClock, replay }
}

/** The key that signs this installation's snapshots, made at the first start. @throws unavailable data_dir.damaged */
export async function openSigningKey(dataDir: string): Promise<SigningKey> {
  const { signingKey: path } = dataPaths(dataDir)
  const stored = await readJson<SigningKey>(path)
  if (stored !== undefined) {
    if (!isWholeKey(stored)) throw damaged(path)
    return stored
  }
  const key = newSigningKey()
  await writeWhole(path, JSON.stringify(key))
  return key
}

/** The operator's token, for processes of this machine and the CLI. Undefined before the first start. */
export async function findOperatorToken(dataDir: string): Promise<string | undefined> {
  try {
    return (await readFile(dataPaths(dataDir).operatorToken, 'utf8')).trim()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new PlimsollError(
      'unavailable',
      'data_dir.no_token',
      `Cannot read the operator's token in ${dataDir}`,
      {},
      error,
    )
  }
}

/** @throws unavailable data_dir.no_token */
export async function readOperatorToken(dataDir: string): Promise<string> {
  const token = await findOperatorToken(dataDir)
  if (token === undefined)
    throw new PlimsollError(
      'unavailable',
      'data_dir.no_token',
      `There is no operator's token in ${dataDir}: the control plane has not started there`,
    )
  return token
}

/** What `up` leaves for the CLI: where the servers are, and the process to signal. */
export interface ServerFile {
  api: string
  gateway?: string
  grpc?: string
  pid: number
  ports: Record<string, number>
}

export async function readServerFile(dataDir: string): Promise<ServerFile | undefined> {
  try {
    return await readJson<ServerFile>(dataPaths(dataDir).server)
  } catch {
    return undefined
  }
}

export async function writeServerFile(dataDir: string, file: ServerFile): Promise<void> {
  await writeWhole(dataPaths(dataDir).server, `${JSON.stringify(file)}\n`)
}

export async function removeServerFile(dataDir: string): Promise<void> {
  await rm(dataPaths(dataDir).server, { force: true })
}
