import { escapePointer, PlimsollError } from './errors.ts'

const DEPTH_MAX = 64

/** A value that JSON can carry. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json | undefined }

/**
 * RFC 8785 canonical JSON: keys sorted by UTF-16 code units, numbers as ECMAScript prints them, no white space.
 * Members whose value is `undefined` are left out, as in JSON.stringify.
 *
 * @throws invalid canonical.not_json for NaN, infinities, bigint, lone surrogates, functions and more than 64 levels
 * @source RFC 8785
 */
export function canonicalJson(value: unknown): string {
  return print(value, [])
}

/** Where a value is: names and places from the outside in. A text of it is made only for a refusal. */
type Path = PropertyKey[]

function refuse(path: Path, what: string): never {
  const pointer = path.map((part) => `/${escapePointer(part)}`).join('')
  throw new PlimsollError(
    'invalid',
    'canonical.not_json',
    `Cannot print canonical JSON: ${pointer || '/'} is ${what}`,
    {
      faults: [{ pointer, detail: `is ${what}` }],
    },
  )
}

function print(value: unknown, path: Path): string {
  if (path.length > DEPTH_MAX) refuse(path, `nested deeper than ${DEPTH_MAX} levels`)
  if (value === null) return 'null'
  switch (typeof value) {
    case 'boolean':
      return value ? 'true' : 'false'
    case 'number':
      if (!Number.isFinite(value)) refuse(path, String(value))
      return JSON.stringify(value)
    case 'string':
      if (!value.isWellFormed()) refuse(path, 'a string with a lone surrogate')
      return JSON.stringify(value)
    case 'object':
      break
    default:
      refuse(path, `a ${typeof value}`)
  }
  const within = (part: PropertyKey, inner: unknown): string => {
    path.push(part)
    const printed = print(inner, path)
    path.pop()
    return printed
  }
  if (Array.isArray(value))
    return `[${value.map((item, index) => within(index, item === undefined ? null : item)).join(',')}]`
  const members = value as Record<string, unknown> // narrowed by the switch: a non-null object
  const keys = Object.keys(members)
    .filter((key) => members[key] !== undefined)
    .sort()
  const printed = keys.map((key) => {
    if (!key.isWellFormed()) refuse(path, 'a key with a lone surrogate')
    return `${JSON.stringify(key)}:${within(key, members[key])}`
  })
  return `{${printed.join(',')}}`
}
