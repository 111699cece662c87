import {
  closeSync,
  fsyncSync,
  linkSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
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
      writeWhole(ready, salvaged)
      renameSync(path, `${path}.damaged`) // last: whenever it is killed before, the next start does it again
      tell(log, path, salvaged)
    } else if (salvaged.payloads.length === 0) unlinkSync(path)
    else {
      truncateSync(path, bytes.length - salvaged.tornBytes)
      renameSync(path, ready)
    }
  }
}

/**
 * Puts aside a closed segment that was refused. Damage takes only its own records, as in an open one: what is whole stays
 * to be shipped under the same key. Bytes count as whole by their check sums alone, here as before; what has been shipped
 * is held to its digest.
 */
export function putAside(path: string, reason: string, log: Logger): void {
  const salvaged = salvageFrames(readFileSync(path))
  if (salvaged.damagedBytes + salvaged.tornBytes === 0) {
    renameSync(path, `${path}.refused`)
    log.error({ path: `${path}.refused`, reason }, 'a segment of predictions was refused')
    return
  }
  // A second name first: whenever it is killed in between, the segment is refused again and this done again.
  rmSync(`${path}.damaged`, { force: true })
  linkSync(path, `${path}.damaged`)
  if (salvaged.payloads.length === 0) unlinkSync(path)
  else writeWhole(path, salvaged)
  tell(log, path, salvaged)
}

function writeWhole(ready: string, { payloads }: Salvaged): void {
  if (payloads.length === 0) return
  const temporary = `${ready}.tmp`
  const file = openSync(temporary, 'w', 0o600)
  writeFileSync(file, Buffer.concat(payloads.map(frame)))
  fsyncSync(file)
  closeSync(file)
  renameSync(temporary, ready)
}

function tell(log: Logger, path: string, salvaged: Salvaged): void {
  const { payloads, damagedBytes, damagedPlaces, tornBytes } = salvaged
  // What was not written to its end is no loss in an open segment, and is one in a closed segment.
  const isCut = tornBytes > 0 && path.endsWith('.segment')
  log.warn(
    {
      path: `${path}.damaged`,
      damagedBytes: damagedBytes + (isCut ? tornBytes : 0),
      lostRecordsAtLeast: damagedPlaces + (isCut ? 1 : 0),
      keptRecords: payloads.length,
    },
    'a segment of predictions is damaged; its whole records are kept',
  )
}
