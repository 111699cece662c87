import { expect, test } from 'vitest'
import { openEnvironmentSecrets } from '../adapters/secret-environment/secret-provider.ts'
import { openSecrets } from './secrets.ts'

test('openSecrets() takes the first provider that has one, past an empty one, says whose it is, and goes past no error', async () => {
  const providers = [
    { PLIMSOLL_SECRET_BOTH: 'first', PLIMSOLL_SECRET_EMPTY: '', PLIMSOLL_SECRET_LARGE: 'x'.repeat(70_000) },
    {
      PLIMSOLL_SECRET_BOTH: 'second',
      PLIMSOLL_SECRET_EMPTY: 'x',
      PLIMSOLL_SECRET_LARGE: 'x',
      PLIMSOLL_SECRET_LATE: 'late',
    },
  ].map((variables, index) => ({ ...openEnvironmentSecrets(variables), name: `p${index}` }))
  const secrets = openSecrets(
    async () => providers,
    () => '',
  )
  const find = (name: string) => secrets.find({ project: 'default', name })
  expect(await Promise.all(['both', 'empty', 'late', 'none'].map(find))).toEqual([
    { value: 'first', from: 'p0' },
    { value: 'x', from: 'p1' },
    { value: 'late', from: 'p1' },
    undefined,
  ])
  await expect(find('large')).rejects.toMatchObject({ code: 'secrets.too_large' })
})

test('openSecrets() opens its providers once, and again after a time when that failed', async () => {
  let openings = 0
  const secrets = openSecrets(
    async () => {
      if (++openings === 1) throw new Error('no file handle is left')
      return [openEnvironmentSecrets({ PLIMSOLL_SECRET_ONE: 'value' })]
    },
    () => '',
  )
  const find = () => secrets.find({ project: 'default', name: 'one' })
  expect(await Promise.allSettled([find(), find()])).toMatchObject([{ status: 'rejected' }, { status: 'rejected' }])
  expect(openings).toBe(1)
  for (let call = 0; call < 2; call++) expect(await find()).toMatchObject({ value: 'value' })
  expect(openings).toBe(2)
})
