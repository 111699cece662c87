import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { canonicalJson } from './canonical.ts'
import { PlimsollError } from './errors.ts'

/** `sha256:` and 64 lower-case hex digits. */
export type Digest = `sha256:${string}`

const PATTERN = /^sha256:[0-9a-f]{64}$/

export function isDigest(text: string): text is Digest {
  return PATTERN.test(text)
}

/** @throws invalid digest.malformed */
export function parseDigest(text: string): Digest {
  if (!isDigest(text)) {
    throw new PlimsollError(
      'invalid',
      'digest.malformed',
      `Cannot read digest "${text.slice(0, 80)}": expected sha256: and 64 hex digits`,
    )
  }
  return text
}

export function digestBytes(bytes: Uint8Array | string): Digest {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

/** Digest of a JSON value: SHA-256 of its RFC 8785 form. */
export function digestValue(value: unknown): Digest {
  return digestBytes(canonicalJson(value))
}

/** Digest and length of a file, read as a stream. */
export async function digestFile(path: string): Promise<{ digest: Digest; sizeBytes: number }> {
  const hash = createHash('sha256')
  let sizeBytes = 0
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) {
    hash.update(chunk)
    sizeBytes += chunk.length
  }
  return { digest: `sha256:${hash.digest('hex')}`, sizeBytes }
}

/** One regular file of a tree: `path` is relative with `/`. */
export interface TreeEntry {
  path: string
  digest: Digest
  sizeBytes: number
  executable: boolean
}

/** Digest of a directory: that of its entries, sorted by path as UTF-8 bytes. Names, bytes and the exec bit count; times do not. */
export function digestTree(entries: readonly TreeEntry[]): Digest {
  return digestValue({
    tree: 1,
    entries: sortEntries(entries).map((e) => [e.path, e.digest, e.sizeBytes, e.executable]),
  })
}

function sortEntries(entries: readonly TreeEntry[]): TreeEntry[] {
  return [...entries].sort((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)))
}
