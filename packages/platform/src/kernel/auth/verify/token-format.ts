import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'

/** By it a token of ours is told from others. */
export const TOKEN_PREFIX = 'plim_'
const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const SECRET_CHARS = 43
const CHECK_CHARS = 6

function toBase62(value: bigint, length: number): string {
  let rest = value
  let text = ''
  for (let index = 0; index < length; index++) {
    text = ALPHABET[Number(rest % 62n)]! + text
    rest /= 62n
  }
  return text
}

/** Text of a token: `plim_`, 32 bytes in base 62, CRC-32 of what stands before, so that scanners can tell one. */
export function formatToken(secretHex: string): string {
  const body = TOKEN_PREFIX + toBase62(BigInt(`0x${secretHex}`), SECRET_CHARS)
  return body + toBase62(BigInt(crc32(body)), CHECK_CHARS)
}

/** True when the form and the check characters are right; says nothing about whether the token is known. */
export function isTokenForm(text: string): boolean {
  if (text.length !== TOKEN_PREFIX.length + SECRET_CHARS + CHECK_CHARS || !/^plim_[0-9A-Za-z]+$/.test(text))
    return false
  const body = text.slice(0, -CHECK_CHARS)
  return toBase62(BigInt(crc32(body)), CHECK_CHARS) === text.slice(-CHECK_CHARS)
}

/** How a token is stored: its entropy is high, so one SHA-256 is enough. */
export function hashToken(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/** What a caller does who has sent no token, over HTTP or with a command. */
export const SEND_TOKEN =
  'Send Authorization: Bearer TOKEN; a command takes a token with --token-file FILE or PLIMSOLL_TOKEN'

/** What whoever has no token that holds may do. */
export const ASK_FOR_TOKEN = 'Ask an admin of the project for a new one: plimsoll token create NAME --role ROLE'
