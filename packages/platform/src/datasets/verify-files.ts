import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { PlimsollError } from '../kernel/errors.ts'

/** A file and what it should be. */
export interface ExpectedFile {
  readonly path: string
  readonly digest: string
  readonly sizeBytes: number
}

export interface FileAlteration {
  readonly path: string
  readonly state: 'missing' | 'unreadable' | 'altered'
  readonly expected: { readonly digest: string; readonly sizeBytes: number }
  readonly found?: { readonly digest: string; readonly sizeBytes: number }
}

interface VerifyOptions {
  readonly signal?: AbortSignal
  readonly onProgress?: (bytesDone: number) => void
}

/** Hashes the files again, as streams and in order; returns the first that is not what it was, undefined when all are. */
export async function findAlteredFile(
  files: readonly ExpectedFile[],
  options: VerifyOptions = {},
): Promise<FileAlteration | undefined> {
  let bytesDone = 0
  for (const file of files) {
    const { path, digest, sizeBytes } = file
    const expected = { digest, sizeBytes }
    const hash = createHash('sha256')
    let found = 0
    try {
      for await (const chunk of createReadStream(path, {
        highWaterMark: 1 << 20,
        ...(options.signal ? { signal: options.signal } : {}),
      })) {
        hash.update(chunk)
        found += chunk.length
      }
    } catch (thrown) {
      options.signal?.throwIfAborted()
      return { path, state: (thrown as NodeJS.ErrnoException).code === 'ENOENT' ? 'missing' : 'unreadable', expected } // node:fs throws errno errors
    }
    const actual = `sha256:${hash.digest('hex')}`
    if (actual !== digest || found !== sizeBytes)
      return { path, state: 'altered', expected, found: { digest: actual, sizeBytes: found } }
    bytesDone += found
    options.onProgress?.(bytesDone)
  }
  return undefined
}

/**
 * Like `findAlteredFile`, but refuses.
 * @throws precondition datasets.file_altered (details: alteration) naming the first file that changed
 */
export async function verifyFiles(files: readonly ExpectedFile[], options: VerifyOptions = {}): Promise<void> {
  const alteration = await findAlteredFile(files, options)
  if (!alteration) return
  const { path, state, expected, found } = alteration
  const what = found ? `found ${found.digest} (${found.sizeBytes} bytes)` : `the file is ${state}`
  throw new PlimsollError(
    'precondition',
    'datasets.file_altered',
    `Cannot use file "${path}": expected ${expected.digest} (${expected.sizeBytes} bytes), ${what}`,
    {
      alteration,
      action: 'Restore the file, or register its new content as a new dataset version',
    },
  )
}
