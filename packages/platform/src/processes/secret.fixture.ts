import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Ended, openCommandLine, openPlatform } from '../cli/process.fixture.ts'

/** Every regular file below the directory that holds the text. */
export async function filesWith(text: string, directory: string): Promise<string[]> {
  const found: string[] = []
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    if ((await readFile(path)).includes(text)) found.push(path)
  }
  return found
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
  work: (api: string, token: string) => Promise<void>,
): Promise<Told> {
  const folder = await mkdtemp(join(tmpdir(), 'plimsoll-secret-'))
  const dataDir = join(folder, '.plimsoll')
  const commandsWith = (more: object) =>
    openCommandLine(folder, undefined, { PLIMSOLL_LOG_LEVEL: 'debug', ...settings, ...more })
  const refused = await commandsWith(broken).run('up', '--port', '0', '--gateway-port', '0', '--grpc-port', '0')
  const platform = await openPlatform(commandsWith({}))
  try {
    await work(platform.api, (await readFile(join(dataDir, 'operator-token'), 'utf8')).trim())
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
