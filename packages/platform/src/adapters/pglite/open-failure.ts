import { statfs } from 'node:fs/promises'
import { PlimsollError } from '../../kernel/errors.ts'

/** What PGlite writes before it answers: its own tables, when it is new, and a segment of its log. */
const NEEDED_BYTES = 64 << 20

/** Bytes that this user may still write where a directory lies; undefined where that cannot be asked. */
export async function freeBytes(directory: string): Promise<number | undefined> {
  const found = await statfs(directory).catch(() => undefined)
  return found && found.bavail * found.bsize
}

/** Why the database did not open. PGlite says no more than that it did not where it could not write. */
export function openFailure(cause: Error, directory: string, free: number | undefined): PlimsollError {
  if (free !== undefined && free < NEEDED_BYTES)
    return new PlimsollError(
      'full',
      'disk.full',
      `Cannot open the embedded database in ${directory}: ${free >> 20} MiB of storage are free there, and it needs ${NEEDED_BYTES >> 20}`,
      { action: 'Free disk space and try again' },
      cause,
    )
  return new PlimsollError(
    'unavailable',
    'pglite.open_failed',
    `Cannot open the embedded database in ${directory}: ${cause.message}`,
    { action: 'If its files were damaged, put a copy of the whole data directory back (docs/guide/operating.md)' },
    cause,
  )
}
