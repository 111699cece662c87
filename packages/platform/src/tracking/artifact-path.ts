import { refusal } from './failure.ts'

const BYTES_MAX = 1_024
const SEGMENTS_MAX = 32
const SEGMENT_BYTES_MAX = 255
const DECODE_ROUNDS_MAX = 5
const SHOWN_MAX = 200
// control and bidi characters, and what Windows reads as a separator
const UNSAFE = /\p{Cc}|\p{Bidi_Control}|\\/u
const DRIVE = /^[A-Za-z]:/

function shown(text: string): string {
  const start = [...text].slice(0, SHOWN_MAX).join('')
  // JSON leaves characters without a width as they are
  return JSON.stringify(start).replaceAll(/[\p{Cc}\p{Cf}]/gu, (char) => `\\u{${char.codePointAt(0)!.toString(16)}}`)
}

function invalidPath(path: string, why: string): Error {
  return refusal(`Invalid path ${shown(path)}: ${why}`)
}

/**
 * The one spelling of an artifact path: relative, `/`-separated, NFC, into which other forms of Unicode are brought. What
 * decodes further to something unsafe is refused too. No path of a client ever reaches the file system of the server: it
 * names a row. What is refused is what would lead a client astray that lays the files out.
 * @throws invalid tracking.invalid_parameter, a text that begins with "Invalid path"
 */
export function checkArtifactPath(given: string): string {
  const path = given.normalize('NFC')
  let decoded = path
  for (let round = 0; round < DECODE_ROUNDS_MAX; round++) {
    refuseUnsafe(path, decoded)
    let next: string
    try {
      next = decodeURIComponent(decoded)
    } catch {
      break // a literal % that encodes nothing
    }
    if (next === decoded) break
    if (round === DECODE_ROUNDS_MAX - 1) throw invalidPath(path, 'it is encoded too often')
    decoded = next
  }
  if (Buffer.byteLength(path) > BYTES_MAX) throw invalidPath(path, `it is longer than ${BYTES_MAX} bytes`)
  const segments = path.split('/')
  if (segments.length > SEGMENTS_MAX) throw invalidPath(path, `it has more than ${SEGMENTS_MAX} parts`)
  for (const segment of segments) {
    if (segment === '') throw invalidPath(path, 'it has an empty part')
    if (Buffer.byteLength(segment) > SEGMENT_BYTES_MAX)
      throw invalidPath(path, `its part ${shown(segment)} is longer than ${SEGMENT_BYTES_MAX} bytes`)
    if (/[. ]$/.test(segment)) throw invalidPath(path, `its part ${shown(segment)} ends with a dot or a space`)
  }
  return path
}

function refuseUnsafe(path: string, decoded: string): void {
  if (!decoded.isWellFormed()) throw invalidPath(path, 'it holds a lone surrogate')
  if (decoded.startsWith('/')) throw invalidPath(path, 'it is absolute')
  for (const segment of decoded.split('/')) {
    if (segment === '..' || segment === '.') throw invalidPath(path, `its part ${shown(segment)} leads elsewhere`)
    if (UNSAFE.test(segment))
      throw invalidPath(path, `its part ${shown(segment)} holds a control or bidi character or a backslash`)
    if (DRIVE.test(segment)) throw invalidPath(path, `its part ${shown(segment)} begins as a drive does`)
  }
}

/** The directory of a listing, '' for the root; one `/` may follow it. */
export function checkArtifactDirectory(path: string | undefined): string {
  if (!path) return ''
  return checkArtifactPath(path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path)
}

/** The path of a raw request target's tail, decoded once. */
export function decodeArtifactPath(raw: string): string {
  let path: string
  try {
    path = decodeURIComponent(raw)
  } catch {
    throw invalidPath(raw, 'it cannot be decoded')
  }
  return checkArtifactPath(path)
}
