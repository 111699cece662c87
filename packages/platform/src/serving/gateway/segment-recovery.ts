import {
  closeSync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import type { Logger } from '../../kernel/log.ts'
import { frame, type Salvaged, salvageFrames } from './segment-frame.ts'

/**
 * Makes open segments that a killed process left ready to be shipped. A last record that it had not written to its end
 * is cut. Damage takes only its own records; the file as it was is then kept beside, and the log tells of it.
 */
export function recoverSegments(directory: string, log: Logger): void {
  for (const name of readdirSync(directory)) {
    if (!name.endsWith('.open')) continue
    const path = join(directory, name)
    const ready = path.replace(/\.open$/, '.segment')
    const bytes = readFileSync(path)
    const salvaged = salvageFrames(bytes)
    if (salvaged.damagedBytes > 0) {
      setAside(path, ready, salvaged)
      tell(log, path, salvaged)
    } else if (salvaged.payloads.length === 0) unlinkSync(path)
    else {
      truncateSync(path, bytes.length - salvaged.tornBytes)
      renameSync(path, ready)
    }
  }
}

/** Whenever it is killed in between, the next start does it again: the damaged file is named so last. */
function setAside(path: string, ready: string, { payloads }: Salvaged): void {
  if (payloads.length > 0) {
    const temporary = `${ready}.tmp`
    const file = openSync(temporary, 'w', 0o600)
    writeFileSync(file, Buffer.concat(payloads.map(frame)))
    fsyncSync(file)
    closeSync(file)
    renameSync(temporary, ready)
  }
  renameSync(path, `${path}.damaged`)
}

function tell(log: Logger, path: string, { payloads, damagedBytes, damagedPlaces }: Salvaged): void {
  log.warn(
    { path: `${path}.damaged`, damagedBytes, lostRecordsAtLeast: damagedPlaces, keptRecords: payloads.length },
    'a segment of predictions is damaged; its whole records are kept',
  )
}
