import { readlinkSync } from 'node:fs'
import promises, { type FileHandle } from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { basename } from 'node:path'

const CHANGES = ['appendFile', 'writeFile', 'truncate'] as const
const SYNCS = ['sync', 'datasync'] as const

type Method = (...args: unknown[]) => Promise<unknown>

/**
 * What is done to files while `work` runs, each by its name: a write and a rename where they begin, a flush where it has
 * ended. So what stands behind a flush came after it.
 */
export async function fileCallsOf(work: () => Promise<unknown>): Promise<string[]> {
  const calls: string[] = []
  const file = await promises.open('/dev/null')
  const methods = Object.getPrototypeOf(file) as Record<string, Method> // those of every file that Node opens
  await file.close()
  const { rename } = promises
  const own = new Map([...CHANGES, ...SYNCS].map((name) => [name, methods[name]!]))
  for (const [name, method] of own) {
    methods[name] = async function (this: FileHandle, ...args) {
      const call = `${name} ${basename(readlinkSync(`/proc/self/fd/${this.fd}`))}`
      const isSync = SYNCS.some((sync) => sync === name)
      if (!isSync) calls.push(call)
      const result = await method.apply(this, args)
      if (isSync) calls.push(call)
      return result
    }
  }
  promises.rename = (from, to) => {
    calls.push(`rename ${basename(String(from))} to ${basename(String(to))}`)
    return rename(from, to)
  }
  syncBuiltinESMExports()
  try {
    await work()
  } finally {
    Object.assign(methods, Object.fromEntries(own))
    promises.rename = rename
    syncBuiltinESMExports()
  }
  return calls
}
