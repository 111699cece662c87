import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { layDatabase } from '../kernel/db/database-template.fixture.ts'
import { openCommandLine, openHostedCommandLine, openPlatform, type Platform } from './process.fixture.ts'
import { writeSmallProject } from './project.fixture.ts'

vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 })

const folder = mkdtempSync(join(tmpdir(), 'plimsoll-run-texts-'))
const plimsoll = openHostedCommandLine(folder)
let platform: Platform

beforeAll(async () => {
  writeSmallProject(folder)
  await layDatabase(join(folder, '.plimsoll/database'), { isMigrated: true })
  platform = await openPlatform(openCommandLine(folder))
  expect(await plimsoll.run('apply')).toMatchObject({ status: 0 })
})
afterAll(async () => {
  plimsoll.close()
  await platform?.close()
  rmSync(folder, { recursive: true, force: true })
})

/** The run that a command has told of. */
const runIn = (text: string) => /run_[0-9a-f]{32}/.exec(text)![0]

test('cancel of a run that had ended says that nothing was cancelled', async () => {
  const { err } = await plimsoll.run('run', 'start', 'hello')
  const run = runIn(err)
  const { status, out } = await plimsoll.run('cancel', run)
  expect({ status, out }).toEqual({
    status: 0,
    out: `${run} is succeeded: it had ended before, and nothing was cancelled\n`,
  })
})

test('run list of a pipeline that is not there names those that there are; one without runs has none', async () => {
  expect(await plimsoll.run('run', 'list', '--pipeline', 'trian')).toMatchObject({
    status: 1,
    err: expect.stringMatching(/^plimsoll: Cannot find pipeline "trian".* — Did you mean train\?/),
  })
  expect(await plimsoll.run('run', 'list', '--pipeline', 'slow')).toMatchObject({
    status: 0,
    out: 'No runs of a pipeline slow\n',
  })
})

test('route list and show tell what serves, also before anything does', async () => {
  expect((await plimsoll.run('route', 'list')).out).toMatch(/^echo +production +nothing yet *$/m)
  expect(await plimsoll.run('route', 'show', 'echo')).toMatchObject({
    status: 0,
    out: 'echo in production serves nothing yet\n  predictions  0, of which 0 are labelled\nNothing was released there yet\n',
  })
  expect((await plimsoll.run('route', 'show', 'ehco')).err).toContain('Did you mean echo?')
})

test('run start says which files it takes as they were applied, and not as they are here', async () => {
  const path = join(folder, 'steps/model.b64')
  const before = readFileSync(path)
  writeFileSync(path, 'changed')
  const { out: first, err } = await plimsoll.run('run', 'start', 'train', '--detach')
  await plimsoll.run('cancel', runIn(first))
  expect(err).toBe('The run takes steps/model.b64 as applied, not as here: plimsoll apply takes what is here\n')
  writeFileSync(path, before)
  const { out, err: none } = await plimsoll.run('run', 'start', 'train', '--detach')
  expect(none).toBe('')
  await plimsoll.run('cancel', runIn(out))
})

test('approve without a version is a fault of the command', async () => {
  expect(await plimsoll.run('approve', 'echo')).toMatchObject({
    status: 2,
    err: 'plimsoll: Cannot approve echo: no version is named (cli.usage) — See plimsoll model versions echo\n',
  })
})

test('logs and step show name a step behind its run and beside it', async () => {
  const run = runIn((await plimsoll.run('run', 'start', 'hello')).err)
  for (const words of [['logs'], ['step', 'show']]) {
    const [beside, behind] = [await plimsoll.run(...words, run, 'greet'), await plimsoll.run(...words, `${run}/greet`)]
    expect(beside).toMatchObject({ status: 0 })
    expect(behind).toEqual(beside)
  }
})

test('dataset show lists columns by name and expectations in words, with what the newest version says of them', async () => {
  expect(await plimsoll.run('dataset', 'show', 'numbers')).toMatchObject({
    out: expect.stringContaining(
      '  checks    2 expectations\n    · a is between 0 and 10\n    · label is one of 0, 1\n',
    ),
  })
  expect(await plimsoll.run('dataset', 'add', 'numbers')).toMatchObject({ status: 0 })
  expect(await plimsoll.run('dataset', 'add', 'numbers', '--path', 'data/damaged.csv')).toMatchObject({ status: 3 })
  const of = async (...args: string[]) => (await plimsoll.run('dataset', 'show', 'numbers', ...args)).out
  expect(await of()).toContain(
    '  columns   a float64, b float64, label int32\n  checks    2 expectations, judged on version 2\n    ✗ a is between 0 and 10: 3 unexpected (75.0 %), for example 99, 98\n',
  )
  expect(await of('1')).toContain('\n  ✓ a is between 0 and 10\n  ✓ label is one of 0, 1\n')
})

test.each([
  [
    ['--root', tmpdir()],
    `Cannot find files of dataset "numbers": nothing matches "data/good.csv" in "${tmpdir()}" (datasets.no_files)`,
  ],
  [
    ['--path', 'data/*.cvs'],
    `Cannot find files of dataset "numbers": nothing matches "data/*.cvs" in "${folder}" (datasets.no_files)`,
  ],
  [['--root', '/no/such/folder'], 'Cannot read from "/no/such/folder": there is no such folder (datasets.bad_root)'],
])('dataset add %j says what to name, and leaves no run', async (flags, said) => {
  const runs = async () => (await plimsoll.run('run', 'list', '--json')).out
  const before = await runs()
  const { status, err } = await plimsoll.run('dataset', 'add', 'numbers', ...flags)
  const todo = 'Name the project folder with --root, or other files with --path'
  expect({ status, err }).toEqual({ status: 1, err: `plimsoll: ${said} — ${todo}\n` })
  expect(await runs()).toBe(before)
})

test('dataset add of content that is there says that --reference had no effect', async () => {
  expect(await plimsoll.run('dataset', 'add', 'numbers')).toMatchObject({ status: 0 })
  const { err, out } = await plimsoll.run('dataset', 'add', 'numbers', '--reference', '1')
  expect(err).toContain('Version 1 was there before and keeps its profile: --reference 1 had no effect\n')
  expect(out).toContain('Version 1 passed 5 expectations')
})

test('step show keeps what a step said of its progress, and logs says so of one that wrote nothing', async () => {
  const run = runIn((await plimsoll.run('run', 'start', 'hello', '--no-cache')).err)
  expect((await plimsoll.run('step', 'show', run, 'greet')).out).toContain('\n  said   half way\n')
  expect((await plimsoll.run('logs', run, 'count')).err).toBe(
    'count has no log: nothing was written. It said of its progress: counted\n',
  )
  // Of several steps each line says whose it is, as one step could write another's name.
  const { out } = await plimsoll.run('logs', run)
  expect(out).toMatch(/^greet \| /)
  expect(out.trimEnd().split('\n')).toEqual(
    (await plimsoll.run('logs', run, 'greet')).out
      .trimEnd()
      .split('\n')
      .map((line) => `greet | ${line}`),
  )
})
