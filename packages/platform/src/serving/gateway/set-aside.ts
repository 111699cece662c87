import { readdirSync, statSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import type { Logger } from '../../kernel/log.ts'

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

export const setAsideBytes = (files: readonly SetAside[]): number =>
  files.reduce((sum, file) => sum + file.sizeBytes, 0)

/** Removes the oldest of what passes `bytesMax`, and says so. */
export function boundSetAside(directory: string, bytesMax: number, log: Logger): void {
  const files = listSetAside(directory)
  let bytes = setAsideBytes(files)
  for (const { path, sizeBytes } of files) {
    if (bytes <= bytesMax) return
    unlinkSync(path)
    bytes -= sizeBytes
    log.error({ path, sizeBytes, bytesMax }, 'predictions that had been put aside are removed, being the oldest')
  }
}
