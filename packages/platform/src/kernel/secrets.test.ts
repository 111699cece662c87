import { expect, test } from 'vitest'
import { openEnvironmentSecrets } from '../adapters/secret-environment/secret-provider.ts'
import { openSecrets } from './secrets.ts'

test('openSecrets() takes the first provider that has one, an empty one too, and goes past no error', async () => {
  const providers = [
    { PLIMSOLL_SECRET_BOTH: 'first', PLIMSOLL_SECRET_EMPTY: '', PLIMSOLL_SECRET_LARGE: 'x'.repeat(70_000) },
    {
      PLIMSOLL_SECRET_BOTH: 'second',
      PLIMSOLL_SECRET_EMPTY: 'x',
      PLIMSOLL_SECRET_LARGE: 'x',
      PLIMSOLL_SECRET_LATE: 'late',
    },
  ].map(openEnvironmentSecrets)
  const secrets = openSecrets(
    async () => providers,
    () => '',
  )
  const find = (name: string) => secrets.find({ project: 'default', name })
  expect(await Promise.all(['both', 'empty', 'late', 'none'].map(find))).toEqual(['first', '', 'late', undefined])
  await expect(find('large')).rejects.toMatchObject({ code: 'secrets.too_large' })
})
