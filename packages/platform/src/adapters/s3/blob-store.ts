import type { FileHandle } from 'node:fs/promises'
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import type { BlobStore } from '@plimsoll/sdk/seams'
import { type Content, hashing, missingBlob, unexpectedContent, verified } from '../../kernel/blob/content.ts'
import { type Clock, realClock } from '../../kernel/clock.ts'
import { isDigest, parseDigest } from '../../kernel/digest.ts'
import { PlimsollError } from '../../kernel/errors.ts'
import { asS3Error, isMissing, openClient, type S3Place, statusOf } from './client.ts'
import { openScratch } from './scratch.ts'

const MIB = 1 << 20
/** Amazon's limit is 10,000 parts of one upload. */
const PARTS_MAX = 9_000
const RESUMES_MAX = 4
const CONFLICTS_MAX = 4
const REFRESH_MS = 3_600_000
const ABANDONED_MS = 24 * 3_600_000

/**
 * Of a write. `exists` (412): someone else has stored the same content meanwhile, which is as good. `conflict`
 * (409): someone else writes or deletes it right now, and Amazon asks to send all of it again.
 */
type Outcome = 'stored' | 'exists' | 'conflict'

export interface S3BlobStoreOptions extends S3Place {
  /** Where a stream that is larger than one part waits until its digest is known. */
  scratchDirectory: string
  /** Size of a part, at least 5 MiB; what fits in one is sent in one request. */
  partBytes?: number
  clock?: Clock
}

/**
 * Blobs as objects `<prefix>sha256/ab/cdef…` of a bucket. A stream is hashed before it is sent, so that an object has its
 * final name and is never seen half; what exists is not sent again.
 */
export async function openS3BlobStore(options: S3BlobStoreOptions): Promise<BlobStore> {
  const store = new S3BlobStore(options)
  await store.sweep()
  return store
}

class S3BlobStore implements BlobStore {
  readonly #client: S3Client
  readonly #bucket: string
  readonly #prefix: string
  readonly #scratchDirectory: string
  readonly #partBytes: number
  readonly #clock: Clock
  #isClosed = false

  constructor(options: S3BlobStoreOptions) {
    this.#client = openClient(options)
    this.#bucket = options.bucket
    this.#prefix = options.prefix ?? ''
    this.#scratchDirectory = options.scratchDirectory
    this.#partBytes = options.partBytes ?? 16 * MIB
    this.#clock = options.clock ?? realClock
  }

  /** Aborts uploads that a dead writer left: their parts cost money and are seen by nobody. */
  async sweep(): Promise<void> {
    const listed = await this.#client
      .send(new ListMultipartUploadsCommand({ Bucket: this.#bucket, Prefix: `${this.#prefix}sha256/` }))
      .catch((error: unknown) => {
        if (statusOf(error) === 501) return { Uploads: [] } // some compatible servers keep no such list
        throw asS3Error(error, 'look for abandoned uploads')
      })
    for (const { Key, UploadId, Initiated } of listed.Uploads ?? []) {
      if (
        Key === undefined ||
        UploadId === undefined ||
        this.#clock.nowMs() - (Initiated?.getTime() ?? 0) < ABANDONED_MS
      )
        continue
      await this.#send('end an abandoned upload', () =>
        this.#client.send(new AbortMultipartUploadCommand({ Bucket: this.#bucket, Key, UploadId })),
      )
    }
  }

  async put(content: Content, options: { expected?: string } = {}): Promise<{ digest: string; sizeBytes: number }> {
    const expected = options.expected === undefined ? undefined : parseDigest(options.expected)
    this.#refuseClosed()
    const { stream, result } = hashing(content)
    await using scratch = await openScratch(this.#scratchDirectory, stream, this.#partBytes)
    const { digest, sizeBytes } = result()
    if (expected !== undefined && digest !== expected) throw unexpectedContent(expected, digest)
    for (let conflicts = 0; ; conflicts++) {
      const found = await this.stat(digest)
      const isStored = found?.sizeBytes === sizeBytes
      if (isStored && this.#clock.nowMs() - found.storedAtMs < REFRESH_MS) return { digest, sizeBytes }
      // An old object is written again, unconditionally: that makes it young, so that a collection lets it live.
      const condition = found === undefined ? { IfNoneMatch: '*' } : {}
      const outcome =
        scratch.bytes !== undefined
          ? await this.#putWhole(digest, scratch.bytes, condition)
          : await this.#putParts(digest, scratch.file!, sizeBytes, condition)
      if (outcome !== 'conflict') return { digest, sizeBytes }
      if (conflicts === CONFLICTS_MAX) {
        const message = `Cannot store ${digest}: others write or delete it all the time`
        throw new PlimsollError('unavailable', 'blob.s3_failed', message)
      }
      await this.#clock.sleep(50 * 2 ** conflicts)
    }
  }

  async #putWhole(digest: string, bytes: Buffer, condition: { IfNoneMatch?: string }): Promise<Outcome> {
    const ChecksumSHA256 = Buffer.from(digest.slice(7), 'hex').toString('base64')
    return this.#settleCondition('store a blob', () =>
      this.#client.send(
        new PutObjectCommand({
          Bucket: this.#bucket,
          Key: this.#key(digest),
          Body: bytes,
          ContentLength: bytes.length,
          ChecksumSHA256,
          ...condition,
        }),
      ),
    )
  }

  async #putParts(
    digest: string,
    file: FileHandle,
    sizeBytes: number,
    condition: { IfNoneMatch?: string },
  ): Promise<Outcome> {
    const target = { Bucket: this.#bucket, Key: this.#key(digest) }
    const partBytes = Math.max(this.#partBytes, Math.ceil(sizeBytes / PARTS_MAX))
    const { UploadId } = await this.#send('start an upload', () =>
      this.#client.send(new CreateMultipartUploadCommand(target)),
    )
    const upload = { ...target, UploadId: UploadId! } // the answer to this request always carries one
    try {
      const parts: { PartNumber: number; ETag: string | undefined }[] = []
      for (let position = 0; position < sizeBytes; position += partBytes) {
        const Body = await readPart(file, position, Math.min(partBytes, sizeBytes - position))
        const PartNumber = parts.length + 1
        const { ETag } = await this.#send('upload a part', () =>
          this.#client.send(new UploadPartCommand({ ...upload, PartNumber, Body, ContentLength: Body.length })),
        )
        parts.push({ PartNumber, ETag })
      }
      const outcome = await this.#settleCondition('finish an upload', () =>
        this.#client.send(
          new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts: parts }, ...condition }),
        ),
      )
      if (outcome !== 'stored') await this.#abort(upload)
      return outcome
    } catch (error) {
      await this.#abort(upload)
      throw error
    }
  }

  /** Frees the parts of an upload; one that cannot be reached is swept at a later opening. */
  async #abort(upload: { Bucket: string; Key: string; UploadId: string }): Promise<void> {
    await this.#client.send(new AbortMultipartUploadCommand(upload)).catch(() => {})
  }

  async #settleCondition(action: string, send: () => Promise<unknown>): Promise<Outcome> {
    try {
      await send()
      return 'stored'
    } catch (error) {
      if (statusOf(error) === 412) return 'exists'
      if (statusOf(error) === 409) return 'conflict'
      throw asS3Error(error, action)
    }
  }

  async *get(digest: string, range: { start: number; end?: number } = { start: 0 }): AsyncGenerator<Uint8Array> {
    const key = this.#key(parseDigest(digest))
    this.#refuseClosed()
    const whole = range.start === 0 && range.end === undefined
    const size = whole ? undefined : (await this.stat(digest))?.sizeBytes
    if (!whole && size === undefined) throw missingBlob(digest)
    const end = size === undefined ? undefined : Math.min(range.end ?? size, size)
    if (end !== undefined && range.start >= end) return
    const isWhole = range.start === 0 && end === size
    const chunks = this.#read(key, digest, range.start, isWhole ? undefined : end)
    yield* isWhole ? verified(chunks, digest) : chunks
  }

  /** Bytes from `start`; a connection that breaks is taken up again where it broke. */
  async *#read(key: string, digest: string, start: number, end: number | undefined): AsyncGenerator<Uint8Array> {
    let position = start
    for (let resumes = 0; ; resumes++) {
      const isPart = position > 0 || end !== undefined
      const answer = await this.#client
        .send(
          new GetObjectCommand({
            Bucket: this.#bucket,
            Key: key,
            ...(isPart ? { Range: `bytes=${position}-${end === undefined ? '' : end - 1}` } : {}),
          }),
        )
        .catch((error: unknown) => {
          // Broken exactly at the end: there is nothing left to ask for.
          if (resumes > 0 && statusOf(error) === 416) return undefined
          throw isMissing(error) ? missingBlob(digest) : asS3Error(error, `read ${digest}`)
        })
      if (answer === undefined) return
      try {
        for await (const chunk of answer.Body as AsyncIterable<Uint8Array>) {
          // on Node the body is a readable stream
          position += chunk.length
          yield chunk
        }
        return
      } catch (error) {
        if (resumes === RESUMES_MAX) throw asS3Error(error, `read ${digest}`)
        await this.#clock.sleep(50 * 2 ** resumes)
      }
    }
  }

  async stat(digest: string): Promise<{ sizeBytes: number; storedAtMs: number } | undefined> {
    const Key = this.#key(parseDigest(digest))
    this.#refuseClosed()
    try {
      const found = await this.#client.send(new HeadObjectCommand({ Bucket: this.#bucket, Key }))
      return { sizeBytes: found.ContentLength ?? 0, storedAtMs: found.LastModified?.getTime() ?? 0 }
    } catch (error) {
      if (isMissing(error)) return undefined
      throw asS3Error(error, `look up ${digest}`)
    }
  }

  async delete(digest: string): Promise<boolean> {
    if ((await this.stat(digest)) === undefined) return false
    await this.#send(`delete ${digest}`, () =>
      this.#client.send(new DeleteObjectCommand({ Bucket: this.#bucket, Key: this.#key(digest) })),
    )
    return true
  }

  async *list(): AsyncGenerator<{ digest: string; sizeBytes: number; storedAtMs: number }> {
    this.#refuseClosed()
    const prefix = `${this.#prefix}sha256/`
    for (let token: string | undefined; ; ) {
      const page = await this.#send('list blobs', () =>
        this.#client.send(
          new ListObjectsV2Command({
            Bucket: this.#bucket,
            Prefix: prefix,
            ...(token === undefined ? {} : { ContinuationToken: token }),
          }),
        ),
      )
      for (const { Key = '', Size = 0, LastModified } of page.Contents ?? []) {
        const digest = `sha256:${Key.slice(prefix.length).replace('/', '')}`
        if (isDigest(digest)) yield { digest, sizeBytes: Size, storedAtMs: LastModified?.getTime() ?? 0 }
      }
      token = page.NextContinuationToken
      if (!page.IsTruncated || token === undefined) return
    }
  }

  localPath(digest: string): undefined {
    parseDigest(digest)
    return undefined
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#client.destroy()
  }

  #key(digest: string): string {
    return `${this.#prefix}sha256/${digest.slice(7, 9)}/${digest.slice(9)}`
  }

  #refuseClosed(): void {
    if (this.#isClosed) throw new PlimsollError('unavailable', 'blob.closed', 'Cannot use the blob store: it is closed')
  }

  async #send<T>(action: string, send: () => Promise<T>): Promise<T> {
    this.#refuseClosed()
    try {
      return await send()
    } catch (error) {
      throw asS3Error(error, action)
    }
  }
}

async function readPart(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const part = Buffer.allocUnsafe(length)
  for (let filled = 0; filled < length; ) {
    const { bytesRead } = await file.read(part, filled, length - filled, position + filled)
    if (bytesRead === 0)
      throw new PlimsollError(
        'unavailable',
        'blob.io_failed',
        'Cannot store a blob: the scratch file is shorter than what was written',
      )
    filled += bytesRead
  }
  return part
}
