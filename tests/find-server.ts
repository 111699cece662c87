import { existsSync, readdirSync } from 'node:fs'
import { delimiter, join } from 'node:path'

export type ServerName = 'postgres' | 'redis' | 'chromium'

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
