import { z } from 'zod'
import { settings } from './settings.ts'

/** Names of the environment that are no settings. */
const OTHER_NAMES = new Set([
  'PLIMSOLL_SERVER',
  'PLIMSOLL_TOKEN',
  'PLIMSOLL_PROJECT',
  'PLIMSOLL_CONFIG',
  'PLIMSOLL_STEP',
  'PLIMSOLL_REQUIRE_SERVERS',
])

/** Secrets of steps, by their names: a provider reads them, the configuration does not. */
const SECRET_VARIABLE = /^PLIMSOLL_SECRET_[A-Z][A-Z0-9_]*$/

export type Environment = Readonly<Record<string, string | undefined>>

/** The environment of this process. Everything else receives values, never this. */
export function readEnvironment(): Environment {
  return process.env
}

/** For processes of ours that start no steps. */
export function withoutSecrets(env: Environment): Environment {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !SECRET_VARIABLE.test(name)))
}

export interface Setting {
  path: readonly string[]
  name: string
  schema: z.ZodType
  isSecret: boolean
}

function unwrap(schema: unknown): z.ZodType {
  let current = schema as z.ZodType
  while (current instanceof z.ZodDefault || current instanceof z.ZodPrefault || current instanceof z.ZodOptional) {
    current = current.unwrap() as z.ZodType // wrappers of the zod schemas in settings.ts only
  }
  return current
}

function collect(schema: z.ZodType, path: readonly string[]): Setting[] {
  const inner = unwrap(schema)
  if (inner instanceof z.ZodObject) {
    return Object.entries(inner.shape).flatMap(([key, value]) => collect(value as z.ZodType, [...path, key]))
  }
  const name = `PLIMSOLL_${path.map((part) => part.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()).join('_')}`
  return [{ path, name, schema: inner, isSecret: schema.meta()?.secret === true }]
}

/** Every setting with its environment name: `server.gatewayPort` is `PLIMSOLL_SERVER_GATEWAY_PORT`. */
export const SETTINGS: readonly Setting[] = collect(settings, [])

function convert(schema: z.ZodType, text: string): unknown {
  if (schema instanceof z.ZodNumber) return /^-?\d+$/.test(text.trim()) ? Number(text) : text
  if (schema instanceof z.ZodBoolean)
    return ({ true: true, '1': true, false: false, '0': false } as Record<string, boolean>)[text.trim()] ?? text
  if (schema instanceof z.ZodArray)
    return text
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== '')
  return text
}

/** Settings found in the environment, as a nested object, and names that look like settings but are none. */
export function settingsFromEnvironment(env: Environment): { values: Record<string, unknown>; unknown: string[] } {
  const values: Record<string, unknown> = {}
  for (const setting of SETTINGS) {
    const text = env[setting.name]
    if (text !== undefined && text !== '') setPath(values, setting.path, convert(setting.schema, text))
  }
  const known = new Set(SETTINGS.map((setting) => setting.name))
  const unknown = Object.keys(env).filter(
    (name) => name.startsWith('PLIMSOLL_') && !known.has(name) && !OTHER_NAMES.has(name) && !SECRET_VARIABLE.test(name),
  )
  return { values, unknown }
}

export function setPath(target: Record<string, unknown>, path: readonly string[], value: unknown): void {
  let node = target
  for (const part of path.slice(0, -1)) {
    const next = (node[part] ?? {}) as Record<string, unknown> // built by this function alone
    node[part] = next
    node = next
  }
  node[path.at(-1)!] = value
}

export function getPath(source: unknown, path: readonly string[]): unknown {
  let node = source
  for (const part of path) {
    if (typeof node !== 'object' || node === null || !Object.hasOwn(node, part)) return undefined
    node = (node as Record<string, unknown>)[part]
  }
  return node
}
