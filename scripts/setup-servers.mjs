// Installs the servers that some test suites need, from Debian packages: PostgreSQL, Redis, Chromium; and OpenSSH's signer.
// Does nothing for what is there already; one line per package; the exit code says whether all are there.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { delimiter, join } from 'node:path'

const SERVERS = [
  { package: 'postgresql', programs: ['initdb'] },
  { package: 'redis-server', programs: ['redis-server'] },
  { package: 'chromium', programs: ['chromium', 'chromium-browser', 'google-chrome'] },
  { package: 'openssh-client', programs: ['ssh-keygen'] },
]

function directories() {
  const debian = '/usr/lib/postgresql'
  const versions = existsSync(debian) ? readdirSync(debian).map((version) => join(debian, version, 'bin')) : []
  return [...(process.env.PATH ?? '').split(delimiter), ...versions]
}

const isOnPath = (program) => directories().some((directory) => existsSync(join(directory, program)))
const isThere = (server) => server.programs.some(isOnPath)

function run(command, args) {
  const root = typeof process.getuid === 'function' && process.getuid() === 0
  const [program, rest] = root ? [command, args] : ['sudo', ['-n', command, ...args]]
  const done = spawnSync(program, rest, {
    encoding: 'utf8',
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    timeout: 900_000,
  })
  if (done.status === 0) return undefined
  const lines = `${done.stdout ?? ''}\n${done.stderr ?? ''}`
    .split('\n')
    .filter((line) => /^(E:|sudo:|dpkg:)/.test(line))
  return lines.at(-1) ?? done.error?.message ?? `${command} ended with ${done.status ?? done.signal}`
}

const missing = SERVERS.filter((server) => !isThere(server))
for (const server of SERVERS) if (!missing.includes(server)) console.log(`present    ${server.package}`)
if (missing.length > 0 && !isOnPath('apt-get')) {
  for (const server of missing)
    console.log(`MISSING    ${server.package}: this is no Debian system, install it by hand`)
  process.exit(1)
}
if (missing.length > 0) {
  const problem = run('apt-get', ['update', '-q'])
  if (problem) console.log(`warning    package lists: ${problem}`)
}
let failed = 0
for (const server of missing) {
  // No cluster of the system's own and no running daemon: tests start private ones.
  const problem = run('apt-get', ['install', '-y', '-q', '--no-install-recommends', server.package])
  if (problem === undefined && isThere(server)) console.log(`installed  ${server.package}`)
  else {
    failed++
    console.log(
      `FAILED     ${server.package}: ${problem ?? 'installed, but its program was not found'}; mend that and run this again, or install it by hand`,
    )
  }
}
process.exit(failed === 0 ? 0 : 1)
