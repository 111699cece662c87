// The processes below one of ours, and what they use; nothing where there is no /proc.
import { readdirSync, readFileSync } from 'node:fs'

function parents() {
  const found = new Map()
  try {
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      try {
        const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
        found.set(Number(pid), Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[1]))
      } catch {
        // it has ended meanwhile
      }
    }
  } catch {
    return found
  }
  return found
}

/** Process ids of a process and all that it started. */
export function treeOf(root) {
  const parent = parents()
  const isBelow = (pid) => {
    for (let at = pid; at; at = parent.get(at)) if (at === root) return true
    return false
  }
  return [...parent.keys()].filter(isBelow)
}

export function commandOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ')
  } catch {
    return ''
  }
}

/** Bytes of memory of a process tree; pages that processes share are counted once. */
function memoryBytes(root) {
  return treeOf(root).reduce((sum, pid) => {
    try {
      const kib = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1'))?.[1]
      return sum + Number(kib ?? 0) * 1_024
    } catch {
      return sum
    }
  }, 0)
}

/** Looks at a process tree every two seconds; `peakBytes` is the most that it has used. */
export function watchMemory(root) {
  const watch = { peakBytes: 0, close: () => clearInterval(timer) }
  const timer = setInterval(() => {
    watch.peakBytes = Math.max(watch.peakBytes, memoryBytes(root))
  }, 2_000)
  timer.unref()
  return watch
}
