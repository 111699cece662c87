import { execFile } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { readEnvironment } from '../../kernel/config/index.ts'

const run = promisify(execFile)
const PROBE_TIMEOUT_MS = 15_000

/** One thing that was looked at. `missing` is a lack that one may live with, `problem` must be put right. */
export interface Finding {
  readonly group:
    | 'needed'
    | 'libraries'
    | 'optional servers'
    | 'what runs'
    | 'storage'
    | 'access'
    | 'isolation of steps'
    | 'durability'
  readonly name: string
  readonly state: 'ok' | 'missing' | 'problem'
  readonly found: string
  /** What the lack costs, and what to do. */
  readonly cost?: string
}

/** The first of the names on the PATH, or in one of the extra directories. */
export function findBinary(names: readonly string[], extra: readonly string[] = []): string | undefined {
  const directories = [...(readEnvironment().PATH ?? '').split(delimiter).filter((part) => part !== ''), ...extra]
  for (const name of names) {
    for (const directory of directories) {
      try {
        accessSync(join(directory, name), constants.X_OK)
        return join(directory, name)
      } catch {
        // not here
      }
    }
  }
  return undefined
}

/** What a program prints, undefined when it fails or takes too long. */
export async function output(command: string, args: readonly string[]): Promise<string | undefined> {
  try {
    const { stdout, stderr } = await run(command, [...args], { timeout: PROBE_TIMEOUT_MS, killSignal: 'SIGKILL' })
    return (stdout || stderr).trim()
  } catch {
    return undefined
  }
}

export function gibibytes(bytes: number): string {
  return `${(bytes / 1024 ** 3).toFixed(1)} GiB`
}
