import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { layDatabase } from '../kernel/db/database-template.fixture.ts'
import { openHostedCommandLine, openPlatform, type Platform } from './process.fixture.ts'
import { writeSmallProject } from './project.fixture.ts'

const folder = mkdtempSync(join(tmpdir(), 'plimsoll-refusal-'))
const commands = openHostedCommandLine(folder)
let platform: Platform
beforeAll(async () => {
  writeSmallProject(folder)
  await layDatabase(join(folder, '.plimsoll/database'), { isMigrated: true })
  platform = await openPlatform(commands)
}, 180_000)
afterAll(async () => {
  commands.close()
  await platform?.close()
  rmSync(folder, { recursive: true, force: true })
})

test.each([
  [['run', 'list', '--limit', '100000'], '--limit: expected a number of at most 500, found 100000', 'run list'],
  [
    ['token', 'create', 'bob', '--days', '99999'],
    '--days: expected a number of at most 90, found 99999',
    'token create',
  ],
  [
    ['token', 'create', 'a b'],
    '<principal>: must be a name or an address: letters, digits and . _ @ + -, found "a b"',
    'token create',
  ],
  [['apply', '--plan', 'abc'], '--plan: expected sha256: and 64 hex digits, found "abc"', 'apply'],
])('%j is told what its flag may be, as a fault of usage', async (args, said, command) => {
  expect(await commands.run(...args)).toMatchObject({
    status: 2,
    out: '',
    err: `plimsoll: Cannot use ${said} (cli.usage) — See plimsoll ${command} --help\n`,
  })
})

test('a command that is sent to the gateway is told so, and where the server is', async () => {
  expect(await commands.run('run', 'list', '--server', platform.gateway)).toMatchObject({
    status: 1,
    err: expect.stringMatching(
      /Cannot use http:\S+ as the server: the gateway answers there .*control plane with --server/,
    ),
  })
})

test('a refused token is told one way in', async () => {
  const { status, err } = await commands.run('token', 'create', 'eve', '--server', platform.api)
  expect(status).toBe(1)
  expect(err).toMatch(/--data-dir DIR or the nearest \.plimsoll instead of --server/)
  expect(err).not.toContain('Commands named here need')
})

test('lists show instants in UTC up to their seconds', async () => {
  expect(await commands.run('token', 'create', 'ada')).toMatchObject({ status: 0 })
  for (const group of ['token', 'project', 'audit']) {
    const { out } = await commands.run(group, 'list')
    expect(
      out.match(/\d{4}-\d{2}-\d{2}T\S+/g)?.filter((at) => !/T\d{2}:\d{2}:\d{2}Z$/.test(at)),
      group,
    ).toEqual([])
  }
})
