import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Client, openClient } from '@plimsoll/sdk/client'
import { missingBlobList } from '@plimsoll/sdk/wire'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { digestBytes } from '../kernel/digest.ts'
import { CODE, MODEL, openTestPlane, runSpine, SUCCEEDED, statesOf, type TestPlane } from './spine.fixture.ts'

// A whole pipeline runs; a loaded machine takes its time.
vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 })

const ARTIFACT_BYTES_MAX = 1 << 20
let plane: TestPlane
beforeAll(async () => {
  plane = await openTestPlane({ http: { artifactBodyLimitBytes: ARTIFACT_BYTES_MAX } })
})
afterAll(() => plane.close(1_000))

async function viewerOf(project: string): Promise<Client> {
  const server = plane.ready.urls['api']!
  const operatorToken = (await readFile(join(plane.folder, 'data', 'operator-token'), 'utf8')).trim()
  const { token } = await openClient({ server, project, token: operatorToken }).call({
    method: 'POST',
    path: '/api/v1/tokens',
    body: { principal: `eve-${project}`, name: 'test', role: 'viewer', days: 1 },
    schema: z.object({ token: z.string() }),
  })
  return openClient({ server, project, token })
}

const read = (client: Client, digest: string) =>
  client.fetch({ path: `/api/v1/blobs/${digest}` }).then(
    async (answer) => digestBytes(Buffer.from(await answer.arrayBuffer())),
    (error: { code?: string }) => error.code,
  )

test('a viewer reads the models and the code of the own project, and nothing of another', async () => {
  expect(statesOf(await runSpine(plane.client))).toEqual(SUCCEEDED)
  await plane.operator.call({ method: 'POST', path: '/api/v1/projects', body: { project: 'pb' } })
  const digests = [MODEL, ...Object.values(CODE)].map((bytes) => digestBytes(bytes))
  const [own, foreign] = [await viewerOf('default'), await viewerOf('pb')]
  for (const digest of digests) {
    expect([await read(own, digest), await read(plane.operator, digest)]).toEqual([digest, digest])
    expect(await read(foreign, digest)).toBe('blob.missing')
  }
  const missing = (client: Client) =>
    client.call({
      method: 'POST',
      path: '/api/v1/blobs/missing',
      body: { digests },
      schema: missingBlobList,
    })
  expect([await missing(own), await missing(foreign)]).toEqual([{ missing: [] }, { missing: digests }])
})

test('an artifact beyond http.artifactBodyLimitBytes is refused, and one within it is kept', async () => {
  const put = async (bytes: number) => {
    const url = `${plane.ready.urls['api']}/api/2.0/mlflow-artifacts/artifacts/notes/a.txt`
    return (await fetch(url, { method: 'PUT', body: Buffer.alloc(bytes, 'x') })).text()
  }
  const refused = expect.stringContaining(`larger than ${ARTIFACT_BYTES_MAX} bytes`)
  expect([await put(ARTIFACT_BYTES_MAX + 1), await put(ARTIFACT_BYTES_MAX)]).toEqual([refused, '{}'])
})
