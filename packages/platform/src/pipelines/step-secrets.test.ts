import { expect, test } from 'vitest'
import { openEnvironmentSecrets } from '../adapters/secret-environment/secret-provider.ts'
import { openSecrets } from '../kernel/secrets.ts'
import { openStepSecrets } from './step-secrets.ts'

test.each([
  ['none', 'pipelines.secret_missing'],
  ['short', 'pipelines.secret_too_short'],
])('give() refuses with the name of the secret and without its value: %s', async (name, code) => {
  const provider = openEnvironmentSecrets({ PLIMSOLL_SECRET_SHORT: 'p1n' })
  const secrets = openSecrets(
    async () => [provider],
    () => 'Set it',
  )
  const definition = { key: 'load', secrets: { PASSWORD: name } }
  const giving = openStepSecrets(secrets).give({ project: 'default', fence: 1n, definition })
  await expect(giving).rejects.toMatchObject({ code, message: expect.stringContaining(name) })
  await expect(giving).rejects.not.toThrow('p1n')
})
