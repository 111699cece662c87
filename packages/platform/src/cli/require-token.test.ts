import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { layDatabase } from '../kernel/db/database-template.fixture.ts'
import { openCommandLine, openPlatform, type Platform } from './process.fixture.ts'

const folder = mkdtempSync(join(tmpdir(), 'plimsoll-token-'))
const commands = openCommandLine(folder)
let platform: Platform
beforeAll(async () => {
  await layDatabase(join(folder, '.plimsoll/database'), { isMigrated: true })
  platform = await openPlatform(commands, '--require-token')
})
afterAll(async () => {
  await platform.close()
  rmSync(folder, { recursive: true, force: true })
})

const statusAt = async (address: string, token?: string) =>
  (await fetch(address, token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } })).status

test('up --require-token asks for a token on both ports, and a revoked one opens neither', async () => {
  const addresses = [`${platform.api}/api/v1/routes`, `${platform.gateway}/v2`]
  for (const address of addresses) expect(await statusAt(address), address).toBe(401)
  expect(await statusAt(`${platform.gateway}/v2/health/live`)).toBe(200)
  const file = join(folder, 'ada.token')
  expect(await commands.run('token', 'create', 'ada', '--role', 'viewer', '--out', file)).toMatchObject({ status: 0 })
  const token = readFileSync(file, 'utf8').trim()
  for (const address of addresses) await expect.poll(() => statusAt(address, token)).toBe(200)
  const { out } = await commands.run('token', 'list', '--json')
  const { tokens } = JSON.parse(out) as { tokens: { id: string; principal: string }[] }
  await commands.run('token', 'revoke', tokens.find(({ principal }) => principal === 'ada')!.id)
  for (const address of addresses) await expect.poll(() => statusAt(address, token)).toBe(401)
})

test('doctor tells of the token as what runs asks for it, whatever the settings say', async () => {
  const { out } = await commands.run('doctor', '--json')
  const { findings } = JSON.parse(out) as { findings: { name: string; state: string; found: string }[] }
  expect(findings.filter(({ name }) => name === 'token')).toEqual([
    { group: 'access', name: 'token', state: 'ok', found: expect.stringMatching(/^asked for/) },
  ])
})

test('predict shows the gateway the token of the data directory, and one that is named only what was given', async () => {
  const predict = (...args: string[]) => commands.run('predict', 'nothing', '{}', ...args)
  const own = await predict('--json')
  expect(own).toMatchObject({ status: 1, err: expect.stringContaining('serving.route_unknown') })
  const named = await predict('--json', '--gateway', platform.gateway)
  expect(named.err).toContain('auth.token_missing')
  expect(named.err).toContain('--token-file FILE or PLIMSOLL_TOKEN')
  const damaged = join(folder, 'damaged.token')
  writeFileSync(damaged, 'plim_none', { mode: 0o600 })
  expect((await predict('--json', '--gateway', platform.gateway, '--token-file', damaged)).err).toContain(
    'auth.token_unknown',
  )
})
