import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** A file of predictions that could not be shipped as it was: kept to be looked at, and in nobody's way. */
export interface SetAside {
  readonly path: string
  readonly sizeBytes: number
}

/** Oldest first; none where there is no such directory. */
export function listSetAside(directory: string): SetAside[] {
  let names: string[]
  try {
    names = readdirSync(directory)
  } catch {
    return []
  }
  return names
    .filter((name) => /\.(damaged|refused)$/.test(name))
    .flatMap((name) => {
      const path = join(directory, name)
      const found = statSync(path, { throwIfNoEntry: false }) // somebody may be tidying up
      return found ? [{ path, sizeBytes: found.size, mtimeMs: found.mtimeMs }] : []
    })
    .sort((a, b) => a.mtimeMs - b.mtimeMs)
}
