import type { FileHandle } from 'node:fs/promises'
import type { Redactor } from '../kernel/redaction.ts'
import { openRegular } from '../kernel/regular-file.ts'

/** What is read of a log at once, at most. */
export const CHUNK_BYTES = 256 * 1024

/**
 * Bytes of a file from `start` to `end`, as far as there are any, its values hidden, also one that reaches over either end.
 * Of a file that grows, its end waits as long as it may be the beginning of a value.
 */
export async function readHidden(
  file: FileHandle,
  { start, end, isGrowing }: { start: number; end: number; isGrowing: boolean },
  redactor: Redactor,
): Promise<Buffer> {
  const around = Math.max(0, redactor.longestBytes - 1)
  const from = Math.max(0, start - around)
  const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(end + around - from), position: from })
  const seen = buffer.subarray(0, bytesRead)
  const isAtEnd = bytesRead < buffer.length
  const shown = isAtEnd && isGrowing ? bytesRead - redactor.openEndBytes(seen) : bytesRead
  return redactor.hide(seen).subarray(Math.min(start - from, shown), Math.min(end - from, shown))
}

/** The same of a file that has come to its end, as a stream. */
export async function* streamHidden(
  path: string,
  { start, end }: { start: number; end: number },
  redactor: Redactor,
): AsyncGenerator<Uint8Array> {
  const file = await openRegular(path)
  if (file === undefined) return
  try {
    for (let at = start; at < end; at += CHUNK_BYTES) {
      const part = { start: at, end: Math.min(end, at + CHUNK_BYTES), isGrowing: false }
      const bytes = await readHidden(file, part, redactor)
      if (bytes.length === 0) return
      yield bytes
    }
  } finally {
    await file.close()
  }
}
