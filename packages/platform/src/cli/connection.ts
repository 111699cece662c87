import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { type Client, openClient } from '@plimsoll/sdk/client'
import { readEnvironment } from '../kernel/config/index.ts'
import { UsageError } from './exit-code.ts'
import { signingAuthoriser } from './ssh-sign.ts'

/** Options that every command takes. */
export interface SharedOptions {
  server?: string
  dataDir?: string
  project?: string
  tokenFile?: string
  signWith?: string
  as?: string
  json?: boolean
}

interface Found {
  server: string
  gateway: string | undefined
  token: string | undefined
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return undefined
  }
}

/** The nearest data directory upwards that a running `plimsoll up` has left its address in. */
function findDataDir(from: string): string | undefined {
  for (let directory = resolve(from); ; directory = dirname(directory)) {
    const candidate = join(directory, '.plimsoll')
    if (existsSync(join(candidate, 'server.json'))) return candidate
    if (dirname(directory) === directory) return undefined
  }
}

function locate(options: SharedOptions): Found {
  const env = readEnvironment()
  const explicit = options.server ?? (options.dataDir === undefined ? env.PLIMSOLL_SERVER : undefined)
  const given = options.tokenFile === undefined ? env.PLIMSOLL_TOKEN : readText(options.tokenFile)
  if (options.tokenFile !== undefined && given === undefined)
    throw new UsageError(`Cannot read the token file ${options.tokenFile}`)
  if (explicit !== undefined) {
    if (!/^https?:\/\//.test(explicit) || !URL.canParse(explicit))
      throw new UsageError(
        `Cannot use the server address "${explicit}": it is not a URL`,
        'Give it as http://HOST:PORT',
      )
    return { server: explicit, gateway: undefined, token: given }
  }
  const dataDir = options.dataDir ?? env.PLIMSOLL_DATA_DIR ?? findDataDir(process.cwd())
  const text = dataDir === undefined ? undefined : readText(join(dataDir, 'server.json'))
  if (dataDir === undefined || text === undefined) {
    throw new UsageError(
      `Cannot find a running server${dataDir === undefined ? '' : ` in ${dataDir}`}`,
      'Start one with plimsoll up, or name it with --server or --data-dir',
    )
  }
  const file = JSON.parse(text) as { api: string; gateway?: string } // written by plimsoll up
  return { server: file.api, gateway: file.gateway, token: given ?? readText(join(dataDir, 'operator-token')) }
}

export interface Connection {
  readonly client: Client
  /** Base URL of the gateway, when it is known. */
  readonly gateway: string | undefined
}

/** Finds the server: --server, PLIMSOLL_SERVER, or the nearest data directory. */
export function connect(options: SharedOptions): Connection {
  const found = locate(options)
  const project = options.project ?? readEnvironment().PLIMSOLL_PROJECT
  const authorise =
    options.signWith === undefined ? undefined : signingAuthoriser(found.server, options.signWith, options.as)
  return {
    client: openClient({ server: found.server, project, token: found.token, authorise }),
    gateway: found.gateway,
  }
}
