import { digestValue } from '../kernel/digest.ts'
import { refusal } from './failure.ts'

export type Cursor = readonly (string | number | boolean | null)[]

/** Names a query, so that a token of another one is refused. */
export function pageQuery(kind: string, parts: readonly unknown[]): string {
  return digestValue([kind, parts.map((part) => part ?? null)]).slice(7, 23)
}

/** An opaque token: the sort key of the last row given and the query it belongs to. */
export function writePageToken(query: string, last: Cursor): string {
  return Buffer.from(JSON.stringify({ q: query, k: last })).toString('base64url')
}

/** @throws invalid tracking.invalid_parameter for a token that cannot be read or belongs to another query */
export function readPageToken(token: string | undefined, query: string): Cursor | undefined {
  if (!token) return undefined
  let value: unknown
  try {
    value = token.length <= 16_384 ? JSON.parse(Buffer.from(token, 'base64url').toString('utf8')) : undefined
  } catch {
    value = undefined
  }
  const { q, k } = (typeof value === 'object' && value !== null ? value : {}) as { q?: unknown; k?: unknown }
  const readable =
    Array.isArray(k) &&
    k.length <= 64 &&
    k.every((item) => item === null || ['string', 'number', 'boolean'].includes(typeof item))
  if (typeof q !== 'string' || !readable) throw refusal('Invalid page token, could not be decoded')
  if (q !== query) throw refusal('Invalid page token: it belongs to a search with another filter or order')
  return k as Cursor // each item was checked
}
