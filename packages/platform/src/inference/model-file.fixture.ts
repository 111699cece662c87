import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { digestBytes } from '../kernel/digest.ts'

/** Lays a model into a directory as a file that a pool can load. */
export async function storeModel(directory: string, bytes: Uint8Array): Promise<{ digest: string; path: string }> {
  const digest = digestBytes(bytes)
  const path = join(directory, digest.slice(7))
  await writeFile(path, bytes)
  return { digest, path }
}
