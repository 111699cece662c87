import { hasRepeatedMember, JSON_DEPTH_MAX, JSON_VALUES_MAX, outlineJson } from '../../kernel/http/json-outline.ts'
import { refusal } from '../failure.ts'

const LONG_INTEGER = /(?<![\d.eE+])-?\d{16,}(?![\d.eE])/
const SUSPECT_ESCAPE = /\\u(?:0000|[dD][89a-fA-F])/

interface RawJson {
  readonly rawJSON: string
}

// lib.esnext does not declare it yet; Node 26 has it
const { rawJSON } = JSON as unknown as { rawJSON: (text: string) => RawJson }

class NumberSource {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

/**
 * Parses a request body. Integers beyond 2^53 become bigint. Doubly encoded JSON is decoded once more, an empty body is
 * `{}`. NUL and lone surrogates are refused: the database cannot store them; so are a member that is named twice, and more than the server can check at once.
 * @throws invalid tracking.invalid_parameter
 */
export function parseBody(text: string): Record<string, unknown> {
  if (text.trim() === '') return {}
  let value = parseText(text)
  if (typeof value === 'string') value = parseText(value)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw refusal('Invalid request body: expected a JSON object')
  }
  return value as Record<string, unknown> // a non-null object that is no array
}

function parseText(text: string): unknown {
  const outline = outlineJson(Buffer.from(text), JSON_DEPTH_MAX, { valuesMax: JSON_VALUES_MAX })
  if (outline.isTooDeep) throw refusal(`Invalid request body: nested deeper than ${JSON_DEPTH_MAX} levels`)
  if (outline.excess !== undefined) throw refusal(`Invalid request body: ${outline.excess}`)
  let value: unknown
  try {
    value = LONG_INTEGER.test(text) ? JSON.parse(text, keepLongIntegers) : JSON.parse(text)
  } catch (error) {
    throw refusal(`Invalid request body: ${(error as Error).message.slice(0, 200)}`)
  }
  if (hasRepeatedMember(outline, value)) throw refusal('Invalid request body: an object in it names a member twice')
  if (SUSPECT_ESCAPE.test(text)) refuseUnstorable(value, 0)
  return value
}

function keepLongIntegers(_key: string, value: unknown, context?: { source?: string }): unknown {
  if (typeof value !== 'number' || Number.isSafeInteger(value) || context?.source === undefined) return value
  return /^-?\d+$/.test(context.source) ? BigInt(context.source) : value
}

function refuseUnstorable(value: unknown, depth: number): void {
  if (typeof value === 'string') refuseUnstorableText(value)
  else if (typeof value === 'object' && value !== null && depth <= JSON_DEPTH_MAX) {
    for (const [key, item] of Object.entries(value)) {
      refuseUnstorableText(key)
      refuseUnstorable(item, depth + 1)
    }
  }
}

/** @throws invalid tracking.invalid_parameter */
export function refuseUnstorableText(text: string): void {
  if (text.includes('\0') || !text.isWellFormed()) {
    throw refusal('Invalid request: text holds a NUL character or a lone surrogate')
  }
}

/**
 * The value at `path` (for example `metrics[0].step`) as compact JSON with numbers as they were written (`9.0`), for
 * messages; at most 200 characters.
 */
export function sourceAt(text: string, path: string): string {
  let value: unknown
  try {
    const keep = (_key: string, item: unknown, context?: { source?: string }) =>
      typeof item === 'number' ? new NumberSource(context?.source ?? String(item)) : item
    value = JSON.parse(text, keep)
    if (typeof value === 'string') value = JSON.parse(value, keep)
    for (const step of path.split(/[.[\]]+/).filter((part) => part !== '')) {
      value = (value as Record<string, unknown> | undefined)?.[step]
    }
  } catch {
    return '?'
  }
  return printCompact(value).slice(0, 200)
}

function printCompact(value: unknown): string {
  if (value instanceof NumberSource) return value.text
  if (Array.isArray(value)) return `[${value.map(printCompact).join(',')}]`
  if (typeof value === 'object' && value !== null) {
    return `{${Object.entries(value)
      .map(([key, item]) => `${JSON.stringify(key)}:${printCompact(item)}`)
      .join(',')}}`
  }
  return JSON.stringify(value) ?? 'null'
}

/** An int64 as a JSON number, exact beyond 2^53 too. */
export function wireInt(value: bigint): number | RawJson {
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : rawJSON(value.toString())
}

/** A double; NaN and infinities travel as text. */
export function wireDouble(value: number, isNan = false): number | string {
  if (isNan || Number.isNaN(value)) return 'NaN'
  if (value === Number.POSITIVE_INFINITY) return 'Infinity'
  if (value === Number.NEGATIVE_INFINITY) return '-Infinity'
  return value
}
