import { statSync } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { BlobStore } from '@plimsoll/sdk/seams'
import { type Content, hashing, missingBlob, unexpectedContent, verified } from '../../kernel/blob/content.ts'
import { type Clock, realClock } from '../../kernel/clock.ts'
import { isDigest, parseDigest } from '../../kernel/digest.ts'
import { isPlimsollError, PlimsollError, toPlimsollError } from '../../kernel/errors.ts'
import { FILE_CALLS, type FileCalls } from './file-calls.ts'
import { isAbandoned, unfinishedName } from './leftover.ts'

const CHUNK_BYTES = 256 * 1024

export interface FilesBlobStoreOptions {
  clock?: Clock
  /** The file system; a test passes one that fails. */
  calls?: FileCalls
}

function codeOf(error: unknown): unknown {
  return (error as { code?: unknown } | null)?.code
}

/** A failed file call as a house error; what the caller's own source threw stays as it is. */
function asBlobError(error: unknown, action: string): unknown {
  if (isPlimsollError(error) || typeof codeOf(error) !== 'string') return error
  const known = toPlimsollError(error)
  if (known.kind !== 'internal') return known
  return new PlimsollError('unavailable', 'blob.io_failed', `Cannot ${action}: ${known.message}`, {}, error)
}

/**
 * Content-addressed files below `directory`: `sha256/ab/cdef…`. A blob is written beside, flushed, renamed into place,
 * and its directory flushed; what a dead writer left behind is removed at the next opening.
 */
export async function openFilesBlobStore(directory: string, options: FilesBlobStoreOptions = {}): Promise<BlobStore> {
  const store = new FilesBlobStore(resolve(directory), options.clock ?? realClock, options.calls ?? FILE_CALLS)
  await store.prepare()
  return store
}

class FilesBlobStore implements BlobStore {
  readonly #root: string
  readonly #clock: Clock
  readonly #calls: FileCalls
  #isClosed = false

  constructor(root: string, clock: Clock, calls: FileCalls) {
    this.#root = root
    this.#clock = clock
    this.#calls = calls
  }

  async prepare(): Promise<void> {
    const incoming = join(this.#root, 'incoming')
    await this.#guard('open the blob store', async () => {
      await this.#calls.mkdir(incoming)
      await this.#calls.mkdir(join(this.#root, 'sha256'))
      for (const name of await this.#calls.readdir(incoming)) {
        const path = join(incoming, name)
        const found = await this.#statPath(path)
        if (found && isAbandoned(name, this.#clock.nowMs() - found.storedAtMs)) await this.#calls.unlink(path)
      }
    })
  }

  async put(content: Content, options: { expected?: string } = {}): Promise<{ digest: string; sizeBytes: number }> {
    const expected = options.expected === undefined ? undefined : parseDigest(options.expected)
    return this.#guard('store a blob', async () => {
      if (expected !== undefined && (await this.#refresh(expected))) return this.#compare(content, expected)
      return this.#write(content, expected)
    })
  }

  /** The blob is there already: the content is read and compared, not written again. */
  async #compare(content: Content, expected: string): Promise<{ digest: string; sizeBytes: number }> {
    const { stream, result } = hashing(content)
    for await (const _chunk of stream);
    const actual = result()
    if (actual.digest !== expected) throw unexpectedContent(expected, actual.digest)
    return actual
  }

  async #write(content: Content, expected: string | undefined): Promise<{ digest: string; sizeBytes: number }> {
    const unfinished = join(this.#root, 'incoming', unfinishedName())
    const { stream, result } = hashing(content)
    let file: FileHandle | undefined
    try {
      file = await this.#calls.open(unfinished, 'wx')
      for await (const chunk of stream) await this.#calls.write(file, chunk)
      const written = result()
      if (expected !== undefined && written.digest !== expected) throw unexpectedContent(expected, written.digest)
      const found = await this.#statPath(this.#path(written.digest))
      if (found?.sizeBytes === written.sizeBytes && (await this.#refresh(written.digest))) {
        await file.close()
        await this.#calls.unlink(unfinished)
        return written
      }
      await this.#calls.sync(file)
      await file.close()
      await this.#publish(unfinished, written.digest)
      return written
    } catch (error) {
      await file?.close().catch(() => {})
      // The first error is the one to report; the next opening sweeps what could not be removed.
      await this.#calls.unlink(unfinished).catch(() => {})
      throw error
    }
  }

  async #publish(unfinished: string, digest: string): Promise<void> {
    const shard = join(this.#root, 'sha256', digest.slice(7, 9))
    const isNewShard = (await this.#statPath(shard)) === undefined
    if (isNewShard) await this.#calls.mkdir(shard)
    await this.#calls.rename(unfinished, this.#path(digest))
    await this.#syncDirectory(shard)
    if (isNewShard) await this.#syncDirectory(join(this.#root, 'sha256'))
  }

  async #syncDirectory(path: string): Promise<void> {
    const handle = await this.#calls.open(path, 'r')
    try {
      await this.#calls.sync(handle)
    } finally {
      await handle.close()
    }
  }

  /** Makes an existing blob young again, so that a collection under way lets it live. */
  async #refresh(digest: string): Promise<boolean> {
    try {
      await this.#calls.touch(this.#path(digest), new Date(this.#clock.nowMs()))
      return true
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return false
      throw error
    }
  }

  async *get(digest: string, range: { start: number; end?: number } = { start: 0 }): AsyncGenerator<Uint8Array> {
    const path = this.#path(parseDigest(digest))
    this.#refuseClosed()
    let file: FileHandle
    try {
      file = await this.#calls.open(path, 'r')
    } catch (error) {
      throw codeOf(error) === 'ENOENT' ? missingBlob(digest) : asBlobError(error, `read ${digest}`)
    }
    try {
      const { size } = await file.stat()
      const end = Math.min(range.end ?? size, size)
      const chunks = readRange(file, range.start, end)
      yield* range.start === 0 && end === size ? verified(chunks, digest) : chunks
    } catch (error) {
      throw asBlobError(error, `read ${digest}`)
    } finally {
      await file.close()
    }
  }

  async stat(digest: string): Promise<{ sizeBytes: number; storedAtMs: number } | undefined> {
    const path = this.#path(parseDigest(digest))
    return this.#guard(`look up ${digest}`, () => this.#statPath(path))
  }

  async #statPath(path: string): Promise<{ sizeBytes: number; storedAtMs: number } | undefined> {
    try {
      const { size, mtimeMs } = await this.#calls.stat(path)
      return { sizeBytes: size, storedAtMs: mtimeMs }
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return undefined
      throw error
    }
  }

  async delete(digest: string): Promise<boolean> {
    const path = this.#path(parseDigest(digest))
    return this.#guard(`delete ${digest}`, async () => {
      try {
        await this.#calls.unlink(path)
        return true
      } catch (error) {
        if (codeOf(error) === 'ENOENT') return false
        throw error
      }
    })
  }

  async *list(): AsyncGenerator<{ digest: string; sizeBytes: number; storedAtMs: number }> {
    this.#refuseClosed()
    for (const shard of await this.#calls.readdir(join(this.#root, 'sha256'))) {
      for (const rest of await this.#calls.readdir(join(this.#root, 'sha256', shard))) {
        const digest = `sha256:${shard}${rest}`
        if (!isDigest(digest)) continue
        const found = await this.stat(digest)
        if (found) yield { digest, ...found }
      }
    }
  }

  localPath(digest: string): string | undefined {
    const path = this.#path(parseDigest(digest))
    return statSync(path, { throwIfNoEntry: false }) ? path : undefined
  }

  async close(): Promise<void> {
    this.#isClosed = true
  }

  #path(digest: string): string {
    return join(this.#root, 'sha256', digest.slice(7, 9), digest.slice(9))
  }

  #refuseClosed(): void {
    if (this.#isClosed) throw new PlimsollError('unavailable', 'blob.closed', 'Cannot use the blob store: it is closed')
  }

  async #guard<T>(action: string, work: () => Promise<T>): Promise<T> {
    this.#refuseClosed()
    try {
      return await work()
    } catch (error) {
      throw asBlobError(error, action)
    }
  }
}

async function* readRange(file: FileHandle, start: number, end: number): AsyncGenerator<Uint8Array> {
  for (let position = start; position < end; ) {
    const buffer = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, end - position))
    const { bytesRead } = await file.read(buffer, 0, buffer.length, position)
    if (bytesRead === 0) return
    position += bytesRead
    yield buffer.subarray(0, bytesRead)
  }
}
