import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { countText } from '../kernel/count-text.ts'
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
      // A pipe would be waited for, a device may have no end.
      if (!(await stat(path)).isFile()) return { path, state: 'unreadable', expected }
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
  if (alteration) throw refusal(alteration)
}

function refusal(alteration: FileAlteration, others = 0): PlimsollError {
  const { path, state, expected, found } = alteration
  const what = found ? `found ${found.digest} (${found.sizeBytes} bytes)` : `the file is ${state}`
  const elsewhere =
    others === 0 ? '' : `; ${countText(others, 'other known place has', 'other known places have')} it neither`
  return new PlimsollError(
    'precondition',
    'datasets.file_altered',
    `Cannot use file "${path}": expected ${expected.digest} (${expected.sizeBytes} bytes), ${what}${elsewhere}`,
    {
      alteration,
      action: 'Restore the file, or register its new content as a new dataset version',
    },
  )
}

/** Places of one content that are looked at before it counts as gone. */
const PLACES_MAX = 1_000

/** Where a content lies that was seen at these places, which are tried in order; else what is wrong at the first of them. */
export async function findUnaltered(
  places: readonly string[],
  content: Omit<ExpectedFile, 'path'>,
): Promise<{ readonly path: string } | { readonly alteration: FileAlteration | undefined }> {
  let alteration: FileAlteration | undefined
  for (const path of places.slice(0, PLACES_MAX)) {
    const found = await findAlteredFile([{ path, digest: content.digest, sizeBytes: content.sizeBytes }])
    if (!found) return { path }
    alteration ??= found
  }
  return { alteration }
}

/**
 * The first of these places that holds the content; what lies at another is never used.
 * @throws precondition datasets.file_altered (details: alteration) naming the first place, when none does
 */
export async function requireUnaltered(
  places: readonly [string, ...string[]],
  content: Omit<ExpectedFile, 'path'>,
): Promise<string> {
  const found = await findUnaltered(places, content)
  if ('path' in found) return found.path
  throw refusal(found.alteration!, places.length - 1) // there is a first place
}
