import { type Client, ClientError } from '@plimsoll/sdk/client'
import { expect, test } from 'vitest'
import { editDistance, nearest, suggestingClient } from './suggest.ts'

test.each([
  ['train', 'train', 0],
  ['trian', 'train', 1],
  ['tran', 'train', 1],
  ['', 'abc', 3],
  ['kitten', 'sitting', 3],
])('editDistance() of %j and %j is %i', (a, b, distance) => {
  expect(editDistance(a, b)).toBe(distance)
  expect(editDistance(b, a)).toBe(distance)
})

test('nearest() finds what was meant, and nothing where nothing is near', () => {
  const known = ['train', 'score', 'flight-delay']
  expect(nearest('trian', known)).toBe('train')
  expect(nearest('Flight_delay', known)).toBe('flight-delay')
  expect(nearest('banana', known)).toBeUndefined()
  expect(nearest('x', ['a'])).toBeUndefined()
  expect(nearest('train', [])).toBeUndefined()
})

test('suggestingClient() says that the gateway is no server, and leaves its own paths to it', async () => {
  const at = (path: string): Client => {
    const refuse = async (): Promise<never> => {
      const detail = `Cannot find ${path}`
      throw new ClientError({ status: 404, code: 'serving.no_such_path', detail, action: 'Use /v2' })
    }
    return { server: 'http://127.0.0.1:7441', project: 'default', call: refuse, fetch: refuse }
  }
  await expect(suggestingClient(at('/api/v1/runs?limit=20')).call({ path: '/' })).rejects.toMatchObject({
    message: 'Cannot use http://127.0.0.1:7441 as the server: the gateway answers there',
    action: expect.stringContaining('Name the control plane with --server'),
  })
  await expect(suggestingClient(at('/v3')).call({ path: '/' })).rejects.toMatchObject({ action: 'Use /v2' })
})
