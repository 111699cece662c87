import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, expect, test } from 'vitest'
import { realClock } from '../kernel/clock.ts'
import { digestValue } from '../kernel/digest.ts'
import { openPythonEnvironments } from './python-environment.ts'

const root = mkdtempSync(join(tmpdir(), 'plimsoll-python-'))
const LOCK = digestValue('lock')
let made = 0
let folder: string
beforeEach(() => {
  made += 1
  folder = join(root, String(made))
  mkdirSync(join(folder, 'bin'), { recursive: true })
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

/**
 * A program that answers as Python does where we ask it: its version, `-m venv`, `-m pip`. Each call is noted in `calls`.
 * What it says in place of success is what a real one says.
 */
function addPython(
  change: { name?: string; version?: string; venv?: string; pip?: string; probe?: string } = {},
): void {
  const { name = 'python3', version = '[3, 12, 1]', venv = '', pip = '' } = change
  const path = join(folder, 'bin', name)
  const probe = change.probe ?? `echo '[${version}, "cpython", "linux-x86_64", "${path}"]'`
  const script = `#!/bin/sh
echo "$1 $2 $3" >> ${join(folder, 'calls')}
case "$2 $3" in
  "-c "*) ${probe} ;;
  "-m venv") ${venv || `mkdir -p "$4/bin" && cp ${path} "$4/bin/python"`} ;;
  "-m pip") ${pip || 'echo installed'} ;;
esac
`
  writeFileSync(path, script)
  chmodSync(path, 0o755)
}
const calls = () => readFileSync(join(folder, 'calls'), 'utf8').split('\n')
const count = (text: string) => calls().filter((line) => line.includes(text)).length
const open = () =>
  openPythonEnvironments(join(folder, 'environments'), { PATH: `${join(folder, 'bin')}:/usr/bin:/bin` }, realClock)
const openBare = () => openPythonEnvironments(join(folder, 'environments'), { PATH: join(folder, 'bin') }, realClock)
const ask = (python = open(), said: string[] = []) =>
  python.require(
    LOCK,
    async () => 'x==1',
    (message) => said.push(message),
  )

test('interpreter() takes the first that is new enough, and says which', async () => {
  addPython({ name: 'python3', version: '[3, 9, 2]' })
  addPython({ name: 'python3.11', version: '[3, 11, 4]' })
  const { path, ...found } = await openBare().interpreter()
  expect([path, found]).toEqual([
    join(folder, 'bin', 'python3.11'),
    { version: 'cpython-3.11.4', platform: 'linux-x86_64' },
  ])
})

test('interpreter() tells none from one that is too old, and looks again', async () => {
  const python = openBare()
  await expect(python.interpreter()).rejects.toMatchObject({
    kind: 'unavailable',
    code: 'python.missing',
    details: { action: expect.stringContaining('Install Python') },
  })
  addPython({ version: '[3, 12, 1]', probe: 'exit 1' })
  await expect(python.interpreter()).rejects.toMatchObject({ code: 'python.missing' })
  addPython({ version: '[3, 9, 2]' })
  await expect(python.interpreter()).rejects.toMatchObject({
    code: 'python.too_old',
    message: expect.stringContaining('found cpython-3.9.2, and 3.10 is the oldest'),
  })
  addPython({ version: '[2, 7, 18]' })
  await expect(python.interpreter()).rejects.toMatchObject({ code: 'python.too_old' })
  addPython()
  expect((await python.interpreter()).version).toBe('cpython-3.12.1')
})

test('require() without a lock gives the interpreter itself', async () => {
  addPython()
  expect(
    await open().require(
      undefined,
      async () => '',
      () => {},
    ),
  ).toBe(join(folder, 'bin', 'python3'))
})

test('require() makes an environment once for a lock, also for callers at once, and says how far it is', async () => {
  addPython()
  const python = open()
  const said: string[] = []
  const [first, second] = await Promise.all([ask(python, said), ask(python, said)])
  expect(first).toBe(second)
  expect(existsSync(first)).toBe(true)
  expect(readFileSync(join(first, '../../requirements.lock'), 'utf8')).toBe('x==1')
  expect(said).toContain('waiting for the Python environment')
  expect(said.at(-1)).toMatch(/^the Python environment is ready, made in \d+\.\d s$/)
  expect(await ask(open())).toBe(first)
  expect([count('-m venv'), count('-m pip')]).toEqual([1, 1])
  const other = await python.require(
    digestValue('other'),
    async () => 'y==1',
    () => {},
  )
  expect(other).not.toBe(first)
})

/** As pip 24 writes it. */
const WRONG_HASH = `Collecting six==1.16.0 (from -r l.lock (line 1))
ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you have updated them: Connection.
    six==1.16.0 from https://ada:canary@index.test/six.whl (from -r l.lock (line 1)):
        Expected sha256 0000
             Got        8abb`
const NO_HASH = `ERROR: Hashes are required in --require-hashes mode, but they are missing from some requirements.
    six==1.16.0 --hash=sha256:8abb
    idna==3.7 --hash=sha256:1234`

test.each([
  [
    'a Python without ensurepip',
    { venv: 'echo "ensurepip is not available"; exit 1' },
    'unavailable',
    'python.no_ensurepip',
  ],
  ['a Python without pip', { pip: 'echo "No module named pip" >&2; exit 1' }, 'unavailable', 'python.no_ensurepip'],
  ['no network', { pip: 'echo "Failed to establish a new connection"; exit 1' }, 'unavailable', 'python.no_index'],
  [
    'a package that the index lacks',
    { pip: 'echo "ERROR: No matching distribution found for x==1"; exit 1' },
    'unavailable',
    'python.no_index',
  ],
  ['a full disk', { pip: 'echo "OSError: [Errno 28] No space left on device"; exit 1' }, 'full', 'disk.full'],
  [
    'a hash that differs',
    { pip: 'echo "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES"; exit 1' },
    'invalid',
    'python.install_failed',
  ],
  [
    'a hash that differs, by its package',
    { pip: `echo "${WRONG_HASH}"; exit 1` },
    'invalid',
    'python.install_failed',
    'six==1.16.0 has another hash than in the lock',
  ],
  [
    'packages without a hash, by name',
    { pip: `echo "${NO_HASH}"; exit 1` },
    'invalid',
    'python.install_failed',
    'six==1.16.0, idna==3.7 have no hash in the lock',
  ],
  ['a word of its own', { pip: 'echo "something else"; exit 3' }, 'invalid', 'python.install_failed'],
])(
  'require() says so in one line for %s, and leaves nothing that looks whole',
  async (_title, change, kind, code, said = '') => {
    addPython(change)
    const python = open()
    await expect(ask(python)).rejects.toMatchObject({
      kind,
      code,
      message: expect.stringContaining(said),
      cause: { output: expect.not.stringMatching(/canary|^\s*$/) },
    })
    addPython()
    const path = await ask(python)
    expect(existsSync(path)).toBe(true)
  },
)
