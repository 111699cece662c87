import { expect, test } from 'vitest'
import { SECRET_PROVIDER_CONTRACT } from '../../../../sdk/src/seams/secret-provider.contract.ts'
import { openEnvironmentSecrets } from './secret-provider.ts'

test.each(SECRET_PROVIDER_CONTRACT)('secrets of the environment: $name', ({ run }) =>
  run(async () => {
    const environment: Record<string, string> = { PATH: '/usr/bin', PLIMSOLL_SECRET_: 'unnamed' }
    return {
      provider: openEnvironmentSecrets(environment),
      project: 'default',
      set: async (name, value) => {
        environment[`PLIMSOLL_SECRET_${name.replaceAll('-', '_').toUpperCase()}`] = value
      },
    }
  }),
)

test('a secret of the environment is one of the project default, whatever a project is named', async () => {
  const provider = openEnvironmentSecrets({ PLIMSOLL_SECRET_WAREHOUSE_PASSWORD: 'canary' })
  const readIn = (project: string) => provider.read({ project, name: 'warehouse-password' })
  expect(await Promise.all(['default', 'defaults', 'flights', ''].map(readIn))).toEqual([
    'canary',
    undefined,
    undefined,
    undefined,
  ])
})
