import { accessSync, constants, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Finding } from './finding.ts'

const GROUP = 'isolation of steps' as const

/** Without a control group, memory and processes are looked at from outside, once a second. */
function cgroupFinding(): Finding {
  const about = { group: GROUP, name: 'cgroup v2', state: 'missing' } as const
  const cost =
    'No limit on CPU, and between two looks a step may take more memory and processes than it may have; this release does not use control groups'
  try {
    const own = readFileSync('/proc/self/cgroup', 'utf8').match(/^0::(.*)$/m)?.[1]
    if (own === undefined || !existsSync('/sys/fs/cgroup/cgroup.controllers'))
      return { ...about, found: 'not mounted', cost }
    accessSync(join('/sys/fs/cgroup', own, 'cgroup.procs'), constants.W_OK)
    return { ...about, found: `delegated at ${own}, and not used`, cost }
  } catch {
    return { ...about, found: 'not delegated to this user', cost }
  }
}

/** What keeps one step from the others, and from us. */
export function isolationFindings(): Finding[] {
  const hasProc = existsSync('/proc/self/stat')
  return [
    { group: GROUP, name: 'process group', state: 'ok', found: 'each attempt has its own; it is ended as a whole' },
    hasProc
      ? {
          group: GROUP,
          name: 'memory, processes',
          state: 'ok',
          found:
            'an attempt that takes over 1.1 times what its step declares, or has more processes than steps.processLimit, is ended; looked at every second',
        }
      : {
          group: GROUP,
          name: 'memory, processes',
          state: 'missing',
          found: 'not limited: there is no /proc',
          cost: 'A step may take all the memory and processes there are; use Linux where that matters',
        },
    cgroupFinding(),
    {
      group: GROUP,
      name: 'network and files',
      state: 'missing',
      found: 'not isolated',
      cost: 'Local steps are not a sandbox: they run as you. Run only code that you trust',
    },
  ]
}
