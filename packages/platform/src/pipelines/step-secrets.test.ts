import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { openEnvironmentSecrets } from '../adapters/secret-environment/secret-provider.ts'
import { openSecrets } from '../kernel/secrets.ts'
import { attemptTokenOf } from './engine.fixture.ts'
import { CONTRACT_FILE, workDirOf } from './launch.ts'
import { openStepSecrets, type SecretAttempt } from './step-secrets.ts'

const runsDir = mkdtempSync(join(tmpdir(), 'plimsoll-step-secrets-'))
afterAll(() => rmSync(runsDir, { recursive: true }))
const OPTIONS = { secret: 'of these tests', runsDir, tokenOf: attemptTokenOf }
const RUN = { project: 'default', run: 'run_1' }

test.each([
  ['none', 'pipelines.secret_missing'],
  ['short', 'pipelines.secret_too_short'],
  ['blank', 'pipelines.secret_too_short'],
  ['ships', 'pipelines.secret_too_short'],
])('give() refuses with the name of the secret and without its value: %s', async (name, code) => {
  const provider = openEnvironmentSecrets({
    PLIMSOLL_SECRET_SHORT: 'p1n',
    PLIMSOLL_SECRET_BLANK: '  p1n   ',
    PLIMSOLL_SECRET_SHIPS: '🚢🚢🚢',
  })
  const secrets = openSecrets(
    async () => [provider],
    () => 'Set it',
  )
  const definition = { key: 'load', kind: 'command', secrets: { PASSWORD: name } }
  const giving = openStepSecrets(secrets, OPTIONS).give({ ...RUN, fence: 1n, definition })
  await expect(giving).rejects.toMatchObject({ code, message: expect.stringContaining(name) })
  await expect(giving).rejects.not.toThrow('p1n')
  // Every viewer sees a param.
  await expect(giving).rejects.toMatchObject({ details: { action: expect.not.stringContaining('param') } })
})

test('give() takes values of 96 KiB together, and refuses more, before the system does', async () => {
  const most = 48 << 10
  const variables = { PLIMSOLL_SECRET_ONE: 'x'.repeat(most), PLIMSOLL_SECRET_TWO: 'y'.repeat(most) }
  const secrets = openSecrets(
    async () => [openEnvironmentSecrets(variables)],
    () => 'Set it',
  )
  const giving = () =>
    openStepSecrets(secrets, OPTIONS).give({
      ...RUN,
      fence: 1n,
      definition: { key: 'load', kind: 'command', secrets: { ONE: 'one', TWO: 'two' } },
    })
  expect((await giving()).environment.TWO).toHaveLength(most)
  variables.PLIMSOLL_SECRET_TWO += 'y'
  await expect(giving()).rejects.toMatchObject({
    kind: 'precondition',
    code: 'pipelines.secrets_too_large',
    message:
      'Cannot give step load its secrets: they are 98305 bytes together, more than the 98304 that a step may be given',
  })
})

/** Secrets of one step, by a variable that may change. */
function openChanging(variables: Record<string, string>) {
  const secrets = openSecrets(
    async () => [openEnvironmentSecrets(variables)],
    () => 'Set it',
  )
  const attempt = (fence: bigint) => ({
    ...RUN,
    fence,
    definition: { key: 'load', kind: 'command', secrets: { PASSWORD: 'password' } },
  })
  const open = (secret = OPTIONS.secret) => openStepSecrets(secrets, { ...OPTIONS, secret })
  return { open, steps: open(), attempt }
}

/** What a launch keeps with the files of an attempt. */
function keepDigest(attempt: SecretAttempt, digest: string | undefined): void {
  const workDir = workDirOf(runsDir, attempt)
  mkdirSync(workDir, { recursive: true })
  writeFileSync(join(workDir, CONTRACT_FILE), JSON.stringify({ platform: { secrets: digest } }))
}

test('redactorOf() hides a value without the blanks at its ends, which a program may take off', async () => {
  const { steps, attempt } = openChanging({ PLIMSOLL_SECRET_PASSWORD: ' canary-1\t' })
  expect((await steps.give(attempt(1n))).environment).toEqual({ PASSWORD: ' canary-1\t' })
  expect((await steps.redactorOf(attempt(1n))).hideText('[canary-1] [ canary-1\t]')).toBe('[********] [ ********\t]')
})

test('redactorOf() of a later incarnation hides what reads as it was given, and refuses what has changed', async () => {
  const variables: Record<string, string> = { PLIMSOLL_SECRET_PASSWORD: 'canary-1' }
  const { open, steps, attempt } = openChanging(variables)
  const own = attempt(201n)
  const hide = async (later = open()) => (await later.redactorOf(own)).hideText('canary-1 canary-2')
  const { digest } = await steps.give(own)
  await expect(hide()).rejects.toMatchObject({ code: 'pipelines.secret_changed' }) // what was given is not known
  keepDigest(own, digest)
  expect(await hide()).toBe('******** canary-2')
  variables['PLIMSOLL_SECRET_PASSWORD'] = 'canary-2'
  expect(await hide(steps)).toBe('******** canary-2')
  await expect(hide()).rejects.toMatchObject({ kind: 'precondition', code: 'pipelines.secret_changed' })
  await expect(hide()).rejects.not.toThrow(/canary/)
  variables['PLIMSOLL_SECRET_PASSWORD'] = 'canary-1'
  expect(await hide()).toBe('******** canary-2')
})

test('redactorOf() hides the token of an attempt that runs a program of its own, with secrets and without', async () => {
  const { open, attempt } = openChanging({})
  const bare = (kind: string) => ({ ...attempt(205n), definition: { key: 'load', kind } })
  const text = `token ${attemptTokenOf(attempt(205n))}, ${attemptTokenOf(attempt(206n))}`
  const shown = text.replace(/plimstep_205\w+/, (token) => '*'.repeat(token.length))
  expect((await open().redactorOf(bare('command'))).hideText(text)).toBe(shown)
  expect(open().redactorOfGiven(bare('python')).hideText(text)).toBe(shown)
  expect((await open().redactorOf(bare('training-set'))).hideText(text)).toBe(text)
  const { steps } = openChanging({ PLIMSOLL_SECRET_PASSWORD: 'canary-1' })
  await steps.give(attempt(205n))
  for (const redactor of [await steps.redactorOf(attempt(205n)), steps.redactorOfGiven(attempt(205n))])
    expect(redactor.hideText(`canary-1 ${text}`)).toBe(`******** ${shown}`)
})

test('give() digests values so that neither another attempt nor another key has the same', async () => {
  const { open, steps, attempt } = openChanging({ PLIMSOLL_SECRET_PASSWORD: 'canary-1' })
  const digests = [
    (await steps.give(attempt(202n))).digest,
    (await steps.give(attempt(203n))).digest,
    (await steps.give({ ...attempt(202n), run: 'run_2' })).digest,
    (await open('another').give(attempt(202n))).digest,
  ]
  expect(new Set(digests).size).toBe(4)
  expect((await open().give(attempt(202n))).digest).toBe(digests[0])
  expect((await steps.give({ ...attempt(204n), definition: { key: 'load', kind: 'command' } })).digest).toBeUndefined()
})

test('redactorOf() of an attempt that has just ended knows the value that it had, not a newer one; of many more it forgets it', async () => {
  const variables: Record<string, string> = { PLIMSOLL_SECRET_PASSWORD: 'canary-1' }
  const { steps, attempt } = openChanging(variables)
  const hide = async (fence: bigint) => (await steps.redactorOf(attempt(fence))).hideText('canary-1 canary-2')
  await steps.give(attempt(1n))
  variables['PLIMSOLL_SECRET_PASSWORD'] = 'canary-2'
  steps.forget(1n)
  expect(await hide(1n)).toBe('******** canary-2')
  for (let fence = 2n; fence < 100n; fence++) {
    await steps.give(attempt(fence))
    steps.forget(fence)
  }
  await expect(hide(1n)).rejects.toMatchObject({ code: 'pipelines.secret_changed' })
})
