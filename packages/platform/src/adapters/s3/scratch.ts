import { type FileHandle, mkdir, open, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { PlimsollError, toPlimsollError } from '../../kernel/errors.ts'
import { randomHex } from '../../kernel/ids.ts'

/** A drained stream: in memory when it fits, else in a file. Exactly one of the two is there. */
export interface Scratch extends AsyncDisposable {
  readonly bytes: Buffer | undefined
  readonly file: FileHandle | undefined
}

/** A file without a name: the operating system frees it when its holder ends, however that happens. */
async function openNameless(directory: string): Promise<FileHandle> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const path = join(directory, `upload-${randomHex(12)}`)
  const file = await open(path, 'wx+', 0o600)
  await unlink(path)
  return file
}

/** A disk that fails is no fault of ours: the same codes as of the store of files. */
function asScratchError(error: unknown): PlimsollError {
  const known = toPlimsollError(error)
  if (known.kind !== 'internal') return known
  const message = `Cannot store a blob: its scratch file failed, ${known.message}`
  return new PlimsollError('unavailable', 'blob.io_failed', message, {}, error)
}

/** Reads a stream to its end, holding at most `memoryBytes` and one chunk in memory. */
export async function openScratch(
  directory: string,
  stream: AsyncIterable<Uint8Array>,
  memoryBytes: number,
): Promise<Scratch> {
  let held: Uint8Array[] = []
  let heldBytes = 0
  let file: FileHandle | undefined
  const spill = async () => {
    try {
      file ??= await openNameless(directory)
      await file.appendFile(Buffer.concat(held))
    } catch (error) {
      throw asScratchError(error)
    }
    held = []
    heldBytes = 0
  }
  try {
    for await (const chunk of stream) {
      held.push(chunk)
      heldBytes += chunk.length
      if (heldBytes > memoryBytes) await spill()
    }
    if (file !== undefined && heldBytes > 0) await spill()
  } catch (error) {
    await file?.close()
    throw error
  }
  return {
    bytes: file === undefined ? Buffer.concat(held) : undefined,
    file,
    [Symbol.asyncDispose]: async () => {
      await file?.close()
    },
  }
}
