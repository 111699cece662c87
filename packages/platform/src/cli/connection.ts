import { existsSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { type Client, ClientError, openClient } from '@plimsoll/sdk/client'
import { projectName } from '@plimsoll/sdk/wire'
import { readEnvironment } from '../kernel/config/index.ts'
import { holderOf } from '../kernel/directory-lock.ts'
import { shellWord } from '../kernel/shell-word.ts'
import { checked } from './argument.ts'
import { UsageError } from './exit-code.ts'
import { signingAuthoriser } from './ssh-sign.ts'
import { suggestingClient } from './suggest.ts'

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

/** What a command that we print has to repeat of the flags of this one, so that it finds the same server. */
export function flagsOf({ server, dataDir, project }: SharedOptions): string {
  return [
    ...(server === undefined ? [] : [` --server ${shellWord(server)}`]),
    ...(dataDir === undefined ? [] : [` --data-dir ${shellWord(dataDir)}`]),
    ...(project === undefined ? [] : [` --project ${shellWord(project)}`]),
  ].join('')
}

interface Found {
  server: string
  gateway: string | undefined
  token: string | undefined
  /** The token, unless it is the operator's that lies beside the data. */
  given: string | undefined
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return undefined
  }
}

/** The data directory of a folder, where none is named. */
const DATA_DIR = '.plimsoll'

/** The nearest data directory upwards that a running `plimsoll up` has left its address in, else the nearest one. */
function findDataDir(from: string): string | undefined {
  let nearest: string | undefined
  for (let directory = resolve(from); ; directory = dirname(directory)) {
    const candidate = join(directory, DATA_DIR)
    if (existsSync(join(candidate, 'server.json'))) return candidate
    if (nearest === undefined && isFolder(candidate)) nearest = candidate
    if (dirname(directory) === directory) return nearest
  }
}

/** A warning where the data directory of a folder is new, and commands there have meant one above until now. */
export function besideAnother(dataDir: string, folder: string): string[] {
  if (dataDir !== resolve(folder, DATA_DIR) || existsSync(dataDir)) return []
  const above = findDataDir(folder)
  return above === undefined
    ? []
    : [
        `${dataDir} is new, and commands here have meant ${above} until now: for that, start with --data-dir ${shellWord(above)}`,
      ]
}

const isFolder = (path: string) => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true

const GROUP_AND_OTHERS = 0o077

const TOKEN_FILE_BYTES_MAX = 65_536

/** A pipe is what a shell makes of `<(…)`; a device may have no end. */
function isToken(path: string): boolean {
  try {
    const found = statSync(path)
    return found.isFIFO() || (found.isFile() && found.size <= TOKEN_FILE_BYTES_MAX)
  } catch {
    return true // reading it says why not
  }
}

/** A token that others of this machine can read is not one person's any more. */
function readTokenFile(path: string): string {
  if (!isToken(path)) throw new UsageError(`Cannot read the token file ${path}: it is no file with a token`)
  const text = readText(path)
  if (text === undefined || text === '')
    throw new UsageError(
      `Cannot read the token file ${path}${text === '' ? ': it is empty' : ''}`,
      existsSync(path) && text !== ''
        ? undefined
        : `Make one with plimsoll token create NAME --role ROLE --out ${shellWord(path)}`,
    )
  if (process.platform !== 'win32' && (statSync(path).mode & GROUP_AND_OTHERS) !== 0)
    throw new UsageError(`Cannot use the token file ${path}: others may read it`, `Run chmod 600 ${shellWord(path)}`)
  return text
}

function checkToken(token: string | undefined): string | undefined {
  if (token !== undefined && !/^[\x21-\x7e]{1,8192}$/.test(token))
    throw new UsageError('Cannot use the token: it is not one word of plain characters')
  return token
}

function parseServerFile(path: string, text: string): { api: string; gateway: string | undefined } {
  let file: { api?: unknown; gateway?: unknown } | null = null
  try {
    file = JSON.parse(text) as typeof file // its members are checked below
  } catch {
    // said below
  }
  const { api, gateway }: { api?: unknown; gateway?: unknown } = file ?? {}
  if (typeof api !== 'string' || !URL.canParse(api))
    throw new UsageError(
      `Cannot read ${path}: it is damaged`,
      'Start plimsoll up again, or name the server with --server',
    )
  return { api, gateway: typeof gateway === 'string' ? gateway : undefined }
}

/** @throws UsageError naming whose address it is */
export function requireUrl(address: string, whose: 'server' | 'gateway'): void {
  if (address.includes('@'))
    throw new UsageError(
      `Cannot use the ${whose} address: it has a user or a password in it`,
      'Leave them out, and give a token with --token-file FILE',
    )
  if (/^https?:\/\//.test(address) && URL.canParse(address)) return
  throw new UsageError(
    `Cannot use the ${whose} address "${address}": it is no http:// or https:// address`,
    'Give it as http://HOST:PORT',
  )
}

const START = 'Start one with plimsoll up, which says when it is ready, or name it with --server or --data-dir'

/** A server that is away, unless what was named can be no data directory. */
function notRunning(dataDir: string | undefined): UsageError | ClientError {
  const what = `Cannot find a running server${dataDir === undefined ? '' : ` in ${dataDir}`}`
  if (dataDir !== undefined && !isFolder(dataDir)) return new UsageError(what, START)
  const away = (detail: string, action: string) =>
    new ClientError({ status: 503, code: 'client.unreachable', detail, action })
  if (dataDir === undefined) return away(what, START)
  // The control plane has its database before it serves, and after.
  const pid = holderOf(join(dataDir, 'database'))
  if (pid !== undefined) return away(`${what}: it is starting or stopping, as process ${pid}`, 'Try again in a moment')
  return away(
    what,
    `Start it with plimsoll up --data-dir ${shellWord(dataDir)} and the flags that it had; it says when it is ready`,
  )
}

function locate(options: SharedOptions): Found {
  const env = readEnvironment()
  const explicit = options.server ?? (options.dataDir === undefined ? env.PLIMSOLL_SERVER : undefined)
  const given = checkToken(options.tokenFile === undefined ? env.PLIMSOLL_TOKEN : readTokenFile(options.tokenFile))
  if (explicit !== undefined) {
    requireUrl(explicit, 'server')
    return { server: explicit, gateway: undefined, token: given, given }
  }
  const dataDir = options.dataDir ?? env.PLIMSOLL_DATA_DIR ?? findDataDir(process.cwd())
  const text = dataDir === undefined ? undefined : readText(join(dataDir, 'server.json'))
  if (dataDir === undefined || text === undefined) throw notRunning(dataDir)
  const file = parseServerFile(join(dataDir, 'server.json'), text)
  return { server: file.api, gateway: file.gateway, token: given ?? readText(join(dataDir, 'operator-token')), given }
}

export interface Connection {
  /** Address of the control plane. */
  readonly server: string
  readonly client: Client
  /** Base URL of the gateway, when it is known. */
  readonly gateway: string | undefined
  /** What the gateway takes, which knows no signatures of requests; one that is named gets no operator's token. */
  gatewayToken(named: string | undefined): string | undefined
}

/** Finds the server: --server, PLIMSOLL_SERVER, or the nearest data directory. */
export function connect(options: SharedOptions): Connection {
  const found = locate(options)
  const project = options.project ?? readEnvironment().PLIMSOLL_PROJECT
  if (project !== undefined) checked(projectName, project, 'a project')
  const authorise =
    options.signWith === undefined ? undefined : signingAuthoriser(found.server, options.signWith, options.as)
  return {
    server: found.server,
    client: suggestingClient(openClient({ server: found.server, project, token: found.token, authorise })),
    gateway: found.gateway,
    gatewayToken: (named) => (named === undefined ? found.token : found.given),
  }
}
