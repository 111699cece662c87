import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statfsSync } from 'node:fs'
import { freemem, tmpdir } from 'node:os'
import { join } from 'node:path'
import { isRunning } from './is-running.mjs'

const MEMORY_FOLDER = '/dev/shm'
/** What the tests hold at one time, three times over. */
const MEMORY_BYTES = 4 * 2 ** 30

/** Undefined where memory is short, or nothing that lies in it may run. TMPDIR, when it is set, stands. */
function memoryFolder() {
  if (process.env.TMPDIR || !existsSync('/proc/mounts')) return
  const line = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .find((mount) => mount.split(' ')[1] === MEMORY_FOLDER)
  const options = line?.split(' ')[3].split(',') ?? []
  if (!line?.startsWith('tmpfs ') || !options.includes('rw') || options.includes('noexec')) return
  const { bavail, bsize } = statfsSync(MEMORY_FOLDER)
  const free = process.availableMemory?.() ?? freemem() // of the container, where Node tells
  return Math.min(bavail * bsize, free) < MEMORY_BYTES ? undefined : MEMORY_FOLDER
}

/** What a run that was killed has left would take memory until the machine starts again. */
function removeRemains(folder) {
  for (const name of readdirSync(folder)) {
    const [, pid] = /^plimsoll-scratch-(\d+)-/.exec(name) ?? []
    if (pid === undefined || isRunning(Number(pid))) continue
    try {
      rmSync(join(folder, name), { recursive: true, force: true })
    } catch {
      // another user's
    }
  }
}

/**
 * A folder for what tests and benchmarks write, in memory where that may be: they make and remove some hundred thousand
 * small files, which there takes a tenth of the processor time, and as much in one minute as in another.
 */
export function makeScratch() {
  const parent = memoryFolder() ?? tmpdir()
  removeRemains(parent)
  return mkdtempSync(join(parent, `plimsoll-scratch-${process.pid}-`))
}
