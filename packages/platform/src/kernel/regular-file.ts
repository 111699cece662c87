import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'

/** The program of a step may put a pipe, a link or a device where a file is expected: of a pipe nobody is waited for. */
const FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

/** Undefined where there is no regular file, or one that we may not read. A link in place of the file is not followed. */
export async function openRegular(path: string): Promise<FileHandle | undefined> {
  const file = await open(path, FLAGS).catch(() => undefined)
  const stat = await file?.stat().catch(() => undefined)
  if (stat?.isFile()) return file
  await file?.close()
  return undefined
}

/** The bytes of a regular file, as `openRegular` takes it; undefined also where they are more than `bytesMax`. */
export async function readRegular(path: string, bytesMax: number): Promise<Buffer | undefined> {
  const file = await openRegular(path)
  if (file === undefined) return undefined
  try {
    const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(bytesToRead(await file.stat(), bytesMax)) })
    return bytesRead > bytesMax ? undefined : buffer.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

/** The same at once, for small files that only we and the wrapper of a step write: a thread each costs more. */
export function readRegularSync(path: string, bytesMax: number): Buffer | undefined {
  let file: number
  try {
    file = openSync(path, FLAGS)
  } catch {
    return undefined
  }
  try {
    const stat = fstatSync(file)
    if (!stat.isFile()) return undefined
    const buffer = Buffer.alloc(bytesToRead(stat, bytesMax))
    const bytesRead = readSync(file, buffer)
    return bytesRead > bytesMax ? undefined : buffer.subarray(0, bytesRead)
  } finally {
    closeSync(file)
  }
}

/** One more than there may be shows that there are more. */
const bytesToRead = ({ size }: { readonly size: number }, bytesMax: number) => Math.min(size, bytesMax + 1)
