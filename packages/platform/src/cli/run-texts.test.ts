import { mkdtempSync, rmSync } from 'node:fs'
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

test('logs and step show name a step behind its run and beside it', async () => {
  const run = runIn((await plimsoll.run('run', 'start', 'hello')).err)
  for (const words of [['logs'], ['step', 'show']]) {
    const [beside, behind] = [await plimsoll.run(...words, run, 'greet'), await plimsoll.run(...words, `${run}/greet`)]
    expect(beside).toMatchObject({ status: 0 })
    expect(behind).toEqual(beside)
  }
})
