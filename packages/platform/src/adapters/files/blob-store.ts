import { createHash, type Hash } from 'node:crypto'
import { type FileHandle, mkdir, open, opendir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { BlobStore } from '@plimsoll/sdk/seams'
import { PlimsollError, toPlimsollError } from '../../kernel/errors.ts'

const PATTERN = /^sha256:([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{60})$/
const READ_BYTES = 1 << 20

async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function writeAll(file: FileHandle, hash: Hash, content: AsyncIterable<Uint8Array> | Uint8Array): Promise<number> {
  let sizeBytes = 0
  const chunks = content instanceof Uint8Array ? [content] : content
  for await (const chunk of chunks) {
    hash.update(chunk)
    sizeBytes += chunk.length
    for (let offset = 0; offset < chunk.length; ) offset += (await file.write(chunk, offset)).bytesWritten
  }
  return sizeBytes
}

function refuseDigest(digest: string): never {
  throw new PlimsollError('invalid', 'blob.bad_digest', `Cannot read blob "${digest.slice(0, 80)}": expected sha256: and 64 hex digits`)
}

/**
 * Blobs as files below `root`, named by digest only: `sha256/ab/cd/…`. A blob is written to a temporary file, flushed,
 * renamed, and its directory flushed, before `put` returns; what a killed process left half-written is swept at the start.
 */
export async function openFilesBlobStore(root: string): Promise<BlobStore> {
  const temporary = join(root, 'tmp')
  await rm(temporary, { recursive: true, force: true })
  await mkdir(temporary, { recursive: true, mode: 0o700 })
  const base = join(root, 'sha256')
  await mkdir(base, { recursive: true, mode: 0o700 })
  let counter = 0

  const pathOf = (digest: string): string => {
    const match = PATTERN.exec(digest)
    return match ? join(base, match[1]!, match[2]!, match[3]!) : refuseDigest(digest)
  }

  const adopt = async (from: string, digest: string): Promise<void> => {
    const path = pathOf(digest)
    if (await stat(path).catch(() => undefined)) {
      await rm(from, { force: true })
      return
    }
    const made = await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    await rename(from, path)
    await syncDirectory(dirname(path))
    if (made !== undefined) for (let parent = dirname(made); parent.startsWith(root); parent = dirname(parent)) await syncDirectory(parent)
  }

  return {
    async put(content, options = {}) {
      const path = join(temporary, `${process.pid}-${counter++}`)
      const hash = createHash('sha256')
      try {
        const file = await open(path, 'wx', 0o600)
        let sizeBytes: number
        try {
          sizeBytes = await writeAll(file, hash, content)
          await file.sync()
        } finally {
          await file.close()
        }
        const digest = `sha256:${hash.digest('hex')}`
        if (options.expected !== undefined && options.expected !== digest) {
          throw new PlimsollError('invalid', 'blob.digest_mismatch', `Cannot store the blob: expected ${options.expected}, its bytes are ${digest}`)
        }
        await adopt(path, digest)
        return { digest, sizeBytes }
      } catch (error) {
        await rm(path, { force: true }).catch(() => {})
        throw toPlimsollError(error)
      }
    },
    async *get(digest, range) {
      const path = pathOf(digest)
      const file = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') throw new PlimsollError('not_found', 'blob.missing', `Cannot find blob ${digest}`)
        throw toPlimsollError(error)
      })
      const isWhole = range === undefined || (range.start === 0 && range.end === undefined)
      const hash = isWhole ? createHash('sha256') : undefined
      try {
        let position = range?.start ?? 0
        const end = range?.end ?? Number.POSITIVE_INFINITY
        while (position < end) {
          const { bytesRead, buffer } = await file.read({ buffer: Buffer.allocUnsafe(Math.min(READ_BYTES, end - position)), position })
          if (bytesRead === 0) break
          position += bytesRead
          const chunk = buffer.subarray(0, bytesRead)
          hash?.update(chunk)
          yield chunk
        }
      } finally {
        await file.close()
      }
      if (hash && `sha256:${hash.digest('hex')}` !== digest) {
        throw new PlimsollError('precondition', 'blob.corrupt', `Cannot trust blob ${digest}: its stored bytes have another digest`, { path, action: 'Restore it from a backup, or make it again' })
      }
    },
    async stat(digest) {
      const found = await stat(pathOf(digest)).catch(() => undefined)
      return found && { sizeBytes: found.size, storedAtMs: found.mtimeMs }
    },
    async delete(digest) {
      const path = pathOf(digest)
      if (!(await stat(path).catch(() => undefined))) return false
      await rm(path, { force: true })
      return true
    },
    async *list() {
      for await (const first of await opendir(base)) {
        for await (const second of await opendir(join(base, first.name))) {
          for await (const rest of await opendir(join(base, first.name, second.name))) {
            const digest = `sha256:${first.name}${second.name}${rest.name}`
            const found = await stat(join(base, first.name, second.name, rest.name)).catch(() => undefined)
            if (found && PATTERN.test(digest)) yield { digest, sizeBytes: found.size, storedAtMs: found.mtimeMs }
          }
        }
      }
    },
    localPath: (digest) => pathOf(digest),
    async close() {},
  }
}
