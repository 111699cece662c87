import { type Client, ClientError } from '@plimsoll/sdk/client'
import { expect, test } from 'vitest'
import { suggestingClient } from './suggest.ts'

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

test('suggestingClient() says once what there is, also where the server did and it is one thing', async () => {
  const refuse = async ({ path }: { path: string }): Promise<unknown> => {
    if (path === '/api/v1/pipelines') return { pipelines: [{ name: 'train' }] }
    const detail = 'Cannot find pipeline "zzzzzz"'
    throw new ClientError({ status: 404, code: 'pipelines.not_found', detail, action: 'There is only train' })
  }
  const client = {
    server: 'http://127.0.0.1:7440',
    project: 'default',
    call: refuse,
    fetch: refuse,
  } as unknown as Client // answers two paths
  await expect(suggestingClient(client).call({ path: '/' })).rejects.toMatchObject({ action: 'There is only train' })
})
