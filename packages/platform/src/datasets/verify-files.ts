import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { countText } from '../kernel/count-text.ts'
import { PlimsollError } from '../kernel/errors.ts'

/** A file and what it should be. */
interface ExpectedFile {
  readonly path: string
  readonly digest: string
  readonly sizeBytes: number
}

interface FileAlteration {
  readonly path: string
  readonly state: 'missing' | 'unreadable' | 'altered'
  readonly expected: { readonly digest: string; readonly sizeBytes: number }
  /** A file of another size is not hashed. */
  readonly found?: { readonly digest?: string; readonly sizeBytes: number }
}

/** Hashes a file again, as a stream; undefined when it is what it was. */
async function findAlteration({ path, digest, sizeBytes }: ExpectedFile): Promise<FileAlteration | undefined> {
  const expected = { digest, sizeBytes }
  const hash = createHash('sha256')
  let bytes = 0
  try {
    const seen = await stat(path)
    // A pipe would be waited for, a device may have no end.
    if (!seen.isFile()) return { path, state: 'unreadable', expected }
    if (seen.size !== sizeBytes) return { path, state: 'altered', expected, found: { sizeBytes: seen.size } }
    for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) {
      hash.update(chunk)
      bytes += chunk.length
    }
  } catch (thrown) {
    return { path, state: (thrown as NodeJS.ErrnoException).code === 'ENOENT' ? 'missing' : 'unreadable', expected } // node:fs throws errno errors
  }
  const actual = `sha256:${hash.digest('hex')}`
  if (actual === digest && bytes === sizeBytes) return undefined
  return { path, state: 'altered', expected, found: { digest: actual, sizeBytes: bytes } }
}

function refusal(alteration: FileAlteration, others = 0): PlimsollError {
  const { path, state, expected, found } = alteration
  const what = found
    ? `found ${found.digest === undefined ? `${found.sizeBytes} bytes` : `${found.digest} (${found.sizeBytes} bytes)`}`
    : `the file is ${state}`
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
    const found = await findAlteration({ path, digest: content.digest, sizeBytes: content.sizeBytes })
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
