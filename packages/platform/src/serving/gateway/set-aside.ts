import { unlinkSync } from 'node:fs'
import type { Logger } from '../../kernel/log.ts'
import { listSetAside, type SetAside } from '../../kernel/set-aside.ts'

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
