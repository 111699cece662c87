import { existsSync, readdirSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { describe, test } from 'vitest'

export type ServerName = 'postgres' | 'redis' | 'chromium'

const PACKAGES: Record<ServerName, string> = { postgres: 'postgresql', redis: 'redis-server', chromium: 'chromium' }
const PROGRAMS: Record<ServerName, readonly string[]> = {
  postgres: ['initdb'],
  redis: ['redis-server'],
  chromium: ['chromium', 'chromium-browser', 'google-chrome', 'headless_shell'],
}

/** Debian keeps the programs of the PostgreSQL server outside the path. */
function postgresDirectories(): string[] {
  const root = '/usr/lib/postgresql'
  if (!existsSync(root)) return []
  return readdirSync(root)
    .sort((a, b) => Number(b) - Number(a))
    .map((version) => join(root, version, 'bin'))
}

/** Path of the server's program, undefined when it is not installed. */
export function findServer(name: ServerName): string | undefined {
  const path = (process.env.PATH ?? '').split(delimiter).filter((entry) => entry !== '')
  const directories =
    name === 'postgres' ? [...postgresDirectories(), ...path] : [...path, '/usr/bin', '/usr/lib/chromium']
  for (const directory of directories) {
    for (const program of PROGRAMS[name]) {
      const found = join(directory, program)
      if (existsSync(found)) return found
    }
  }
  return undefined
}

/**
 * Declares a suite that needs a server. Without it the suite is left out by name with the reason, or fails when
 * PLIMSOLL_REQUIRE_SERVERS is 1.
 */
export function suiteWith(name: ServerName, title: string, declare: (program: string) => void): void {
  const program = findServer(name)
  if (program !== undefined) {
    describe(title, () => declare(program))
    return
  }
  const reason = `${PACKAGES[name]} is not installed`
  if (process.env.PLIMSOLL_REQUIRE_SERVERS === '1') {
    test(title, () => {
      throw new Error(`${reason}, and PLIMSOLL_REQUIRE_SERVERS is 1: run npm run setup:servers`)
    })
  } else test.skip(`${title}: left out, ${reason}`, () => {})
}
