import { refusal } from './failure.ts'

const BYTES_MAX = 1_024
const SEGMENTS_MAX = 32
const SEGMENT_BYTES_MAX = 255
const DECODE_ROUNDS_MAX = 5
// control and bidi characters, and what Windows reads as a separator, a drive or a stream
const UNSAFE = /\p{Cc}|\p{Bidi_Control}|[\\:]/u
const DEVICE = /^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)/i

function invalidPath(): Error {
  return refusal('Invalid path')
}

/**
 * The one spelling of an artifact path: relative, `/`-separated, NFC. What decodes further to something unsafe is refused
 * too. No path of a client ever reaches the file system: it names a row.
 * @throws invalid tracking.invalid_parameter "Invalid path"
 */
export function checkArtifactPath(path: string): string {
  let decoded = path
  for (let round = 0; round < DECODE_ROUNDS_MAX; round++) {
    refuseUnsafe(decoded)
    let next: string
    try {
      next = decodeURIComponent(decoded)
    } catch {
      break // a literal % that encodes nothing
    }
    if (next === decoded) break
    if (round === DECODE_ROUNDS_MAX - 1) throw invalidPath()
    decoded = next
  }
  if (Buffer.byteLength(path) > BYTES_MAX || path.normalize('NFC') !== path) throw invalidPath()
  const segments = path.split('/')
  if (segments.length > SEGMENTS_MAX) throw invalidPath()
  for (const segment of segments) {
    if (
      segment === '' ||
      Buffer.byteLength(segment) > SEGMENT_BYTES_MAX ||
      /[. ]$/.test(segment) ||
      DEVICE.test(segment)
    )
      throw invalidPath()
  }
  return path
}

function refuseUnsafe(path: string): void {
  const segments = path.split('/')
  if (UNSAFE.test(path) || !path.isWellFormed() || path.startsWith('/')) throw invalidPath()
  if (segments.some((segment) => segment === '..' || segment === '.')) throw invalidPath()
}

/** The path of a raw request target's tail, decoded once. */
export function decodeArtifactPath(raw: string): string {
  let path: string
  try {
    path = decodeURIComponent(raw)
  } catch {
    throw invalidPath()
  }
  return checkArtifactPath(path)
}
