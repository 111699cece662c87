import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { realClock } from '../kernel/clock.ts'
import type { Digest } from '../kernel/digest.ts'
import { openPythonEnvironments } from './python-environment.ts'

/** Stands in for Python: environments are copies of itself, its installer takes half a second and notes what it does. */
const PYTHON = `#!/bin/sh
case "$3" in
  venv) mkdir -p "$4/bin" && cp "$0" "$4/bin/python" ;;
  pip) for n in 1 2 3 4 5; do echo $n >> "$(dirname "$(dirname "$0")")/installed"; sleep 0.1; done ;;
  *) echo '[[3, 12, 0], "cpython", "linux-x86_64", "'"$0"'"]' ;;
esac
`
const LOCK = `sha256:${'0'.repeat(64)}` as Digest

let work: string
let places: string
beforeEach(() => {
  work = mkdtempSync(join(tmpdir(), 'plimsoll-python-'))
  places = join(work, 'environments')
  mkdirSync(join(work, 'bin'))
  writeFileSync(join(work, 'bin/python3'), PYTHON)
  chmodSync(join(work, 'bin/python3'), 0o700)
})
afterEach(() => rmSync(work, { recursive: true, force: true }))

const variables = () => ({ PATH: `${join(work, 'bin')}:/usr/bin:/bin` })
const require = () =>
  openPythonEnvironments(places, variables(), realClock).require(
    LOCK,
    async () => '',
    () => {},
  )
const installedBeside = (python: string) => readFileSync(join(dirname(dirname(python)), 'installed'), 'utf8')
const startedPlace = () =>
  existsSync(places) ? readdirSync(places).find((name) => existsSync(join(places, name, 'installed'))) : undefined

test('require() makes an environment once per lock, and again when somebody removed it', async () => {
  const python = await require()
  expect(await require()).toBe(python)
  rmSync(dirname(dirname(python)), { recursive: true })
  const again = await require()
  expect(again).not.toBe(python)
  expect(installedBeside(again)).toBe('1\n2\n3\n4\n5\n')
})

test('steps of one lock that begin at once share one environment, and another lock has its own', async () => {
  const environments = openPythonEnvironments(places, variables(), realClock)
  const other = `sha256:${'1'.repeat(64)}` as Digest
  const [first, second, third] = await Promise.all(
    [LOCK, LOCK, other].map((lock) =>
      environments.require(
        lock,
        async () => '',
        () => {},
      ),
    ),
  )
  expect(second).toBe(first)
  expect(third).not.toBe(first)
  for (const python of [first, third]) expect(installedBeside(python!)).toBe('1\n2\n3\n4\n5\n')
})

test('require() after a kill shares nothing with the installer that lives on', async () => {
  const script = `import { openPythonEnvironments } from ${JSON.stringify(new URL('./python-environment.ts', import.meta.url).href)}
    import { realClock } from ${JSON.stringify(new URL('../kernel/clock.ts', import.meta.url).href)}
    await openPythonEnvironments(${JSON.stringify(places)}, ${JSON.stringify(variables())}, realClock)
      .require(${JSON.stringify(LOCK)}, async () => '', () => {})`
  writeFileSync(join(work, 'killed.mjs'), script)
  const builder = spawn(process.execPath, [join(work, 'killed.mjs')], { stdio: 'inherit' })
  while (startedPlace() === undefined) await realClock.sleep(5)
  builder.kill('SIGKILL')
  await once(builder, 'exit')
  expect(installedBeside(await require())).toBe('1\n2\n3\n4\n5\n')
})
