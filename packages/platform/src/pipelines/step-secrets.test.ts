import { expect, test } from 'vitest'
import { openEnvironmentSecrets } from '../adapters/secret-environment/secret-provider.ts'
import { openSecrets } from '../kernel/secrets.ts'
import { openStepSecrets } from './step-secrets.ts'

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
  const definition = { key: 'load', secrets: { PASSWORD: name } }
  const giving = openStepSecrets(secrets).give({ project: 'default', fence: 1n, definition })
  await expect(giving).rejects.toMatchObject({ code, message: expect.stringContaining(name) })
  await expect(giving).rejects.not.toThrow('p1n')
})

/** Secrets of one step, by a variable that may change. */
function openChanging(variables: Record<string, string>) {
  const secrets = openSecrets(
    async () => [openEnvironmentSecrets(variables)],
    () => 'Set it',
  )
  const attempt = (fence: bigint) => ({
    project: 'default',
    fence,
    definition: { key: 'load', secrets: { PASSWORD: 'password' } },
  })
  return { steps: openStepSecrets(secrets), attempt }
}

test('redactorOf() hides a value without the blanks at its ends, which a program may take off', async () => {
  const { steps, attempt } = openChanging({ PLIMSOLL_SECRET_PASSWORD: ' canary-1\t' })
  expect(await steps.give(attempt(1n))).toEqual({ PASSWORD: ' canary-1\t' })
  expect((await steps.redactorOf(attempt(1n))).hideText('[canary-1] [ canary-1\t]')).toBe('[********] [ ********\t]')
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
  expect(await hide(1n)).toBe('canary-1 ********')
})
