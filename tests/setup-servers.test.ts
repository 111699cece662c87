import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'

/** The only folder on the path: its programs are all that this machine has. */
let path: string
beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), 'plimsoll-setup-servers-'))
})
afterEach(() => rmSync(path, { recursive: true, force: true }))

const plant = (name: string, script = '') => writeFileSync(join(path, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 })

/** A package manager that notes what it is asked for; `install` is what it does then, the package being `$1`. */
function plantApt(install: string): void {
  plant('apt-get', `echo "$*" >> '${path}/asked'\n[ "$1" = install ] || exit 0\nshift 4\n${install}`)
  plant('sudo', 'shift\nexec "$@"') // for those who are not root
}

function setUp() {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['scripts/setup-servers.mjs'], {
    encoding: 'utf8',
    env: { PATH: path },
  })
  return { status, lines: stdout.trimEnd().split('\n'), stderr }
}

const asked = () => readFileSync(join(path, 'asked'), 'utf8').trimEnd().split('\n')

test('setup:servers leaves what is present alone, and asks for nothing', () => {
  for (const name of ['initdb', 'redis-server', 'chromium-browser', 'ssh-keygen']) plant(name)
  plantApt('exit 1')
  const names = ['postgresql', 'redis-server', 'chromium', 'openssh-client']
  expect(setUp()).toEqual({ status: 0, lines: names.map((name) => `present    ${name}`), stderr: '' })
  expect(asked).toThrow('ENOENT')
})

test('setup:servers installs what is missing and nothing else', () => {
  for (const name of ['initdb', 'ssh-keygen']) plant(name)
  plantApt(`: > '${path}/'"$1"`)
  expect(setUp()).toEqual({
    status: 0,
    lines: ['present    postgresql', 'present    openssh-client', 'installed  redis-server', 'installed  chromium'],
    stderr: '',
  })
  const install = 'install -y -q --no-install-recommends'
  expect(asked()).toEqual(['update -q', `${install} redis-server`, `${install} chromium`])
})

test('setup:servers names each package that it could not install with the reason and what to do, installs the rest, and fails', () => {
  for (const name of ['initdb', 'ssh-keygen']) plant(name)
  plantApt(
    `case "$1" in redis-server) echo 'E: Unable to locate package redis-server' >&2; exit 100 ;; *) : > '${path}/'"$1" ;; esac`,
  )
  const what = 'mend that and run this again, or install it by hand'
  expect(setUp()).toMatchObject({
    status: 1,
    lines: [
      'present    postgresql',
      'present    openssh-client',
      `FAILED     redis-server: E: Unable to locate package redis-server; ${what}`,
      'installed  chromium',
    ],
  })
  plantApt('exit 0') // and brings no program
  expect(setUp()).toMatchObject({
    status: 1,
    lines: expect.arrayContaining([`FAILED     redis-server: installed, but its program was not found; ${what}`]),
  })
})

test('setup:servers says what to install by hand where there is no apt-get', () => {
  for (const name of ['initdb', 'chromium', 'ssh-keygen']) plant(name)
  const { status, lines } = setUp()
  expect([status, lines.at(-1)]).toEqual([1, 'MISSING    redis-server: this is no Debian system, install it by hand'])
})
