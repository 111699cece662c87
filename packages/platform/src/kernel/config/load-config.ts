import { readFileSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { faultText, IN_WORDS } from '@plimsoll/sdk/wire'
import type { z } from 'zod'
import { countText } from '../count-text.ts'
import { errnoText } from '../errno-text.ts'
import { type Fault, PlimsollError, pointerOf } from '../errors.ts'
import { type Environment, getPath, SETTINGS, type Setting, setPath, settingsFromEnvironment } from './environment.ts'
import { type Config, settings, settingsFaults } from './settings.ts'

const FILE_LIMIT_BYTES = 256 * 1024

type Origin = 'flag' | 'environment' | 'file'

/** A flag has the name of the setting in its section: `--gateway-port` is `server.gatewayPort`. */
const ORIGINS: Readonly<Record<Origin, (setting: Setting) => string>> = {
  flag: ({ path }) => `--${path.at(-1)!.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`,
  environment: ({ name }) => name,
  file: () => 'the file',
}

export interface LoadedConfig {
  config: Config
  /** The file that was read, if any. */
  file: string | undefined
  warnings: string[]
}

export interface ConfigSources {
  /** Nested like the settings; members that are undefined were not given. */
  flags?: Record<string, unknown>
  env?: Environment
  /** Path of the file; when absent, `plimsoll.yaml` in the data directory if it exists. */
  file?: string | undefined
}

/**
 * Settings by precedence flags, environment, file, defaults. Every problem of every source is reported at once, and the
 * value of a secret never appears in a message.
 *
 * @throws invalid config.invalid
 */
export async function loadConfig(sources: ConfigSources): Promise<LoadedConfig> {
  const flags = sources.flags ?? {}
  const environment = settingsFromEnvironment(sources.env ?? {})
  const dataDir = String(flags.dataDir ?? environment.values.dataDir ?? '.plimsoll')
  const path = sources.file ?? sources.env?.PLIMSOLL_CONFIG ?? join(dataDir, 'plimsoll.yaml')
  const isRequired = sources.file !== undefined || sources.env?.PLIMSOLL_CONFIG !== undefined
  const faults: Fault[] = []
  const file = await readSettings(path, isRequired, faults)
  const merged: Record<string, unknown> = {}
  const origins = new Map<string, Origin>()
  for (const setting of SETTINGS) {
    const given: [Origin, unknown][] = [
      ['flag', getPath(flags, setting.path)],
      ['environment', getPath(environment.values, setting.path)],
      ['file', getPath(file, setting.path)],
    ]
    const found = given.find(([, value]) => value !== undefined)
    if (found === undefined) continue
    origins.set(`/${setting.path.join('/')}`, found[0])
    setPath(merged, setting.path, found[1])
  }
  faults.push(...unknownKeys(file))
  const parsed = settings.safeParse(merged, IN_WORDS)
  if (!parsed.success) faults.push(...parsed.error.issues.map((issue) => issueFault(issue, origins)))
  faults.push(...settingsFaults(parsed.success ? parsed.data : withoutFaulty(merged, parsed.error.issues)))
  if (!parsed.success || faults.length > 0) {
    throw new PlimsollError(
      'invalid',
      'config.invalid',
      `Cannot use the configuration: ${countText(faults.length, 'problem')}`,
      {
        faults,
        action: 'Correct the settings that are listed',
      },
    )
  }
  return {
    config: { ...parsed.data, dataDir: resolve(parsed.data.dataDir) },
    file: file === undefined ? undefined : path,
    warnings: environment.unknown.map((name) => `${name} is no setting of Plimsoll and was ignored`),
  }
}

/** What is left when every faulty setting has its default: rules between settings are judged on it. */
function withoutFaulty(merged: Record<string, unknown>, issues: readonly z.core.$ZodIssue[]): Config {
  const rest: Record<string, unknown> = {}
  for (const setting of SETTINGS) {
    const value = getPath(merged, setting.path)
    const isFaulty = issues.some((issue) => setting.path.every((part, index) => String(issue.path[index]) === part))
    if (value !== undefined && !isFaulty) setPath(rest, setting.path, value)
  }
  const parsed = settings.safeParse(rest)
  return parsed.success ? parsed.data : settings.parse({})
}

function issueFault(issue: z.core.$ZodIssue, origins: ReadonlyMap<string, Origin>): Fault {
  const parts = issue.path.map(String)
  const setting = SETTINGS.find((known) => known.path.every((part, index) => parts[index] === part))
  const origin = setting && origins.get(`/${setting.path.join('/')}`)
  const where = setting && origin ? ` (from ${ORIGINS[origin](setting)})` : ''
  return {
    pointer: pointerOf(parts),
    detail: `${setting === undefined ? issue.message : setting.isSecret ? 'is not valid' : settingFault(issue)}${where}`,
  }
}

/** An address of a database or a store in the place of a file, maybe with a password in it. */
const MAYBE_LOGIN = /:\/\/|@|password\s*=/i

/** A word, a number or a few of them: no address has this form. */
const PLAIN = /^[\w.+ -]{1,40}$/

/** What is wrong, and what was found where that cannot be an address, which may hold a login. */
function settingFault(issue: z.core.$ZodIssue): string {
  const { input } = issue
  const text = typeof input === 'string' ? input : (JSON.stringify(input) ?? '')
  return input === undefined || PLAIN.test(text) ? faultText(issue) : issue.message
}

/** Another key may be what should be its value. */
const NAME = /^[\w/.-]{1,64}$/

function unknownKeys(file: unknown): Fault[] {
  if (file === undefined) return []
  const parsed = settings.safeParse(file, IN_WORDS)
  if (parsed.success) return []
  return parsed.error.issues.flatMap((issue) =>
    issue.code === 'unrecognized_keys'
      ? issue.keys.map((key) => ({
          pointer: pointerOf([...issue.path, NAME.test(key) ? key : '…']),
          detail: 'is no setting (from the file)',
        }))
      : issue.path.length < 2 && issue.code === 'invalid_type'
        ? // What stands there may be a secret in a wrong place.
          [{ pointer: pointerOf(issue.path), detail: `${issue.message} (from the file)` }]
        : [],
  )
}

async function readSettings(path: string, isRequired: boolean, faults: Fault[]): Promise<unknown> {
  const name = MAYBE_LOGIN.test(path) ? 'what is named as the file' : path
  let text: string
  try {
    if (statSync(path).size > FILE_LIMIT_BYTES) {
      faults.push({ pointer: '', detail: `${name} is larger than ${FILE_LIMIT_BYTES} bytes` })
      return undefined
    }
    text = readFileSync(path, 'utf8')
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (isRequired || code !== 'ENOENT')
      faults.push({ pointer: '', detail: `${name} cannot be read: ${errnoText(error)}` })
    return undefined
  }
  const { parseDocument } = await import('yaml') // most starts have no file
  try {
    const document = parseDocument(text, { uniqueKeys: true })
    const [first] = document.errors
    if (first) {
      // Behind its place stands the text itself, which may hold a secret.
      const why = first.message.split(/ at line |: |;/)[0]
      faults.push({ pointer: '', detail: `${name} is not YAML: line ${first.linePos?.[0].line ?? '?'}: ${why}` })
      return undefined
    }
    return document.toJS({ maxAliasCount: 0 }) ?? undefined
  } catch {
    faults.push({ pointer: '', detail: `${name} is not usable YAML: aliases and deep nesting are refused` })
    return undefined
  }
}
