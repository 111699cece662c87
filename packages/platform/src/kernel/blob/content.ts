import { createHash } from 'node:crypto'
import type { BlobStore } from '@plimsoll/sdk/seams'
import { canonicalJson, type Json } from '../canonical.ts'
import type { Digest } from '../digest.ts'
import { PlimsollError } from '../errors.ts'

/** Bytes as a stream; one array counts as a stream of one chunk. */
export type Content = AsyncIterable<Uint8Array> | Uint8Array

export function missingBlob(digest: string): PlimsollError {
  return new PlimsollError('not_found', 'blob.missing', `Cannot read ${digest}: nothing is stored under this digest`)
}

export function corruptBlob(digest: string, actual: string): PlimsollError {
  return new PlimsollError(
    'internal',
    'blob.corrupt',
    `Cannot read ${digest}: the stored bytes have the digest ${actual}`,
    {
      expected: digest,
      actual,
      action: 'Put back a whole copy of the blob, or remove it and run again what made it',
    },
  )
}

/** What stands under a digest is something else. */
export const isCorruptBlob = ({ code }: PlimsollError) => code === 'blob.corrupt'

export function unexpectedContent(expected: string, actual: string): PlimsollError {
  return new PlimsollError(
    'invalid',
    'blob.digest_mismatch',
    `Cannot store ${expected}: the content has the digest ${actual}`,
    {
      expected,
      actual,
    },
  )
}

export async function* streamOf(content: Content): AsyncGenerator<Uint8Array> {
  if (content instanceof Uint8Array) {
    if (content.length > 0) yield content
  } else yield* content
}

/** Passes chunks through and hashes them; `result` holds once the stream has ended. */
export function hashing(content: Content): {
  stream: AsyncGenerator<Uint8Array>
  result(): { digest: Digest; sizeBytes: number }
} {
  const hash = createHash('sha256')
  let sizeBytes = 0
  const pass = async function* (): AsyncGenerator<Uint8Array> {
    for await (const chunk of streamOf(content)) {
      hash.update(chunk)
      sizeBytes += chunk.length
      yield chunk
    }
  }
  return { stream: pass(), result: () => ({ digest: `sha256:${hash.digest('hex')}`, sizeBytes }) }
}

/**
 * Ends with an error as soon as more than `maxBytes` have come.
 * @throws too_large blob.too_large
 */
export async function* capped(content: Content, maxBytes: number): AsyncGenerator<Uint8Array> {
  let sizeBytes = 0
  for await (const chunk of streamOf(content)) {
    sizeBytes += chunk.length
    if (sizeBytes > maxBytes) {
      throw new PlimsollError(
        'too_large',
        'blob.too_large',
        `Cannot take the content: it is larger than ${maxBytes} bytes`,
        { maxBytes },
      )
    }
    yield chunk
  }
}

/**
 * Passes the bytes of a whole blob through. The last chunk is held back until the digest is known to be right, so a
 * reader never sees the end of a damaged blob.
 * @throws internal blob.corrupt
 */
export async function* verified(content: Content, expected: string): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256')
  let held: Uint8Array | undefined
  for await (const chunk of streamOf(content)) {
    hash.update(chunk)
    if (held !== undefined) yield held
    held = chunk
  }
  const actual = `sha256:${hash.digest('hex')}`
  if (actual !== expected) throw corruptBlob(expected, actual)
  if (held !== undefined) yield held
}

/** A whole blob in memory. @throws too_large blob.too_large · not_found blob.missing · internal blob.corrupt */
export async function readBlob(store: BlobStore, digest: string, options: { maxBytes: number }): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of capped(store.get(digest), options.maxBytes)) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** Stores the canonical form of a JSON value, so that its digest is that of the value. */
export async function putJson(store: BlobStore, value: Json): Promise<{ digest: Digest; sizeBytes: number }> {
  const stored = await store.put(Buffer.from(canonicalJson(value)))
  return { digest: stored.digest as Digest, sizeBytes: stored.sizeBytes } // the store names what it hashed
}

/** @throws internal blob.not_json, and as `readBlob` */
export async function readJson(store: BlobStore, digest: string, options: { maxBytes: number }): Promise<Json> {
  const bytes = await readBlob(store, digest, options)
  try {
    return JSON.parse(bytes.toString('utf8')) as Json // what JSON.parse returns is Json
  } catch (error) {
    throw new PlimsollError('internal', 'blob.not_json', `Cannot read ${digest}: it is not JSON`, {}, error)
  }
}
