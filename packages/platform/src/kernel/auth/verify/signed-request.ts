import { z } from 'zod'
import { canonicalJson } from '../../canonical.ts'
import { PlimsollError } from '../../errors.ts'

/** What a person signs to make one request: its canonical JSON is the message. */
export const requestStatement = z.strictObject({
  v: z.literal(1),
  /** Who signs. */
  principal: z.string().min(1).max(128),
  /** `POST /api/v1/…`, with the query. */
  request: z.string().min(1).max(4_096),
  /** The Host that the request goes to. */
  host: z.string().min(1).max(256),
  project: z.string().min(1).max(63),
  /** Digest of the body's bytes. */
  body: z.string().regex(/^sha256:[0-9a-f]{64}$/),
  at: z.iso.datetime(),
  nonce: z.string().regex(/^[0-9a-f]{32}$/),
})
export type RequestStatement = z.output<typeof requestStatement>

const envelope = z.strictObject({ statement: z.string().max(8_192), signature: z.string().max(8_192) })
const ENVELOPE_CHARS_MAX = 14 * 1024
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/

/** Value of `Authorization: Plimsoll-SSH …`. */
export function formatSignedRequest(statement: RequestStatement, signature: string): string {
  return Buffer.from(JSON.stringify({ statement: canonicalJson(statement), signature })).toString('base64')
}

/** @throws unauthenticated auth.bad_signature */
export function parseSignedRequest(value: string): { statement: RequestStatement; text: string; signature: string } {
  const refuse = (detail: string) =>
    new PlimsollError('unauthenticated', 'auth.bad_signature', `Cannot accept the signed request: ${detail}`)
  if (value.length > ENVELOPE_CHARS_MAX) throw refuse('it is too long')
  // Node passes over what is no base64, and ends at the padding: much else would be read as the same login.
  if (!BASE64.test(value)) throw refuse('it is not base64')
  try {
    const { statement: text, signature } = envelope.parse(JSON.parse(Buffer.from(value, 'base64').toString('utf8')))
    const statement = requestStatement.parse(JSON.parse(text))
    if (canonicalJson(statement) !== text) throw refuse('its statement is not canonical JSON')
    return { statement, text, signature }
  } catch (error) {
    throw error instanceof PlimsollError ? error : refuse('it is not a statement and its signature')
  }
}
