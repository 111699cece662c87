import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Ended, openCommandLine, openPlatform } from '../cli/process.fixture.ts'
import { hashToken } from '../kernel/auth/verify/index.ts'
import { layDatabase } from '../kernel/db/database-template.fixture.ts'

/** A token of an operator or a person, or one of an attempt. */
export const TOKEN = /plim_[0-9A-Za-z]{49}|plimstep_\d+_[0-9A-Za-z_-]{43}/

/** What a running platform takes away between a listing and a look is not there. */
async function unlessGone<Found>(found: Promise<Found>): Promise<Found | undefined> {
  try {
    return await found
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error // node:fs throws errno errors
    return undefined
  }
}

/** Every regular file below the directory, which must be there, that holds the text, or one of that form. */
export async function filesWith(text: string | RegExp, directory: string): Promise<string[]> {
  const found: string[] = []
  const entries = await readdir(directory, { withFileTypes: true })
  for (let entry = entries.shift(); entry !== undefined; entry = entries.shift()) {
    const path = join(entry.parentPath, entry.name)
    if (entry.isDirectory()) entries.push(...((await unlessGone(readdir(path, { withFileTypes: true }))) ?? []))
    const bytes = entry.isFile() ? await unlessGone(readFile(path)) : undefined
    if (bytes === undefined) continue
    if (typeof text === 'string' ? bytes.includes(text) : text.test(bytes.toString('latin1'))) found.push(path)
  }
  return found
}

/** Where what is stored of a token lies: whoever would see the token there sees this. */
export async function filesWithDigestOf(token: string, directory: string): Promise<string[]> {
  return filesWith(hashToken(token), directory)
}

export interface Told {
  /** The data directory, the logs of the processes in it. */
  readonly dataDir: string
  /** What `plimsoll up` with the broken settings said. */
  readonly refused: Ended
  /** The whole log of the control plane. */
  readonly log: string
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * What a platform leaves of its settings, given as environment, when it logs all it can: it is refused a start with the
 * broken ones, then starts, and meets what `work` does to it.
 */
export async function tellAll(
  settings: Readonly<Record<string, string>>,
  broken: Readonly<Record<string, string>>,
  work: (api: string, token: string, dataDir: string) => Promise<void>,
): Promise<Told> {
  const folder = await mkdtemp(join(tmpdir(), 'plimsoll-secret-'))
  const dataDir = join(folder, '.plimsoll')
  const commandsWith = (more: object) =>
    openCommandLine(folder, undefined, { PLIMSOLL_LOG_LEVEL: 'debug', ...settings, ...more })
  if (settings.PLIMSOLL_DATABASE_KIND === undefined) await layDatabase(join(dataDir, 'database'), { isMigrated: true })
  const refused = await commandsWith(broken).run('up', '--port', '0', '--gateway-port', '0', '--grpc-port', '0')
  const platform = await openPlatform(commandsWith({}))
  try {
    await work(platform.api, (await readFile(join(dataDir, 'operator-token'), 'utf8')).trim(), dataDir)
  } finally {
    await platform.close()
  }
  return {
    dataDir,
    refused,
    log: await readFile(join(dataDir, 'logs/control-plane.log'), 'utf8'),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  }
}
