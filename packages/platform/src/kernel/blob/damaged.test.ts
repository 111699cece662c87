import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BlobStore } from '@plimsoll/sdk/seams'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { openFilesBlobStore } from '../../adapters/files/index.ts'
import { realClock } from '../clock.ts'
import { settings } from '../config/index.ts'
import { openTestDatabase, type TestDatabase } from '../db/database.fixture.ts'
import { listenHttp, mountEndpoints, openHttp } from '../http/index.ts'
import { silentLog } from '../log.ts'
import { readBlob, readJson } from './content.ts'
import { blobEndpoints, pinBlobs } from './index.ts'

let root: string
let database: TestDatabase
let blobs: BlobStore
let app: ReturnType<typeof openHttp>
let url: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'plimsoll-damaged-'))
  database = await openTestDatabase()
  blobs = await openFilesBlobStore(root)
  const { http } = settings.parse({})
  const core = { publicHosts: [], behindProxy: false, clock: realClock, log: silentLog }
  app = openHttp({ http, host: '127.0.0.1', ...core })
  mountEndpoints(app, blobEndpoints({ blobs }), { authorise: async () => database.ctx })
  url = (await listenHttp(app, '127.0.0.1', 0)).url
})
afterAll(async () => {
  await app.close()
  await database.close()
  await rm(root, { recursive: true, force: true })
})
beforeEach(() => database.clear())

async function put(sizeBytes: number) {
  const bytes = Buffer.alloc(sizeBytes, 'abcdefg')
  const { digest } = await blobs.put(bytes)
  await database.ctx.transaction((tx) => pinBlobs(tx, blobs, { owner: 'test', digests: [digest] }))
  return { bytes, digest, path: blobs.localPath!(digest)! }
}

const get = (digest: string) => fetch(`${url}/api/v1/blobs/${digest}`)

test.each([1, 2 ** 20, 3 * 2 ** 20])('a whole blob of %i bytes is sent as it is', async (sizeBytes) => {
  const { bytes, digest } = await put(sizeBytes)
  const answer = await get(digest)
  expect([answer.status, answer.headers.get('content-length')]).toEqual([200, String(sizeBytes)])
  expect(Buffer.from(await answer.arrayBuffer()).equals(bytes)).toBe(true)
})

test.each([10, 2 ** 20])(
  'a blob of %i bytes that was altered is told by its code, and not to be kept',
  async (sizeBytes) => {
    const { bytes, digest, path } = await put(sizeBytes)
    await writeFile(path, Buffer.concat([Buffer.from('X'), bytes.subarray(1)]))
    const answer = await get(digest)
    expect(answer.status).toBe(500)
    expect(answer.headers.get('content-type')).toContain('application/problem+json')
    expect(answer.headers.get('cache-control')).toContain('no-store')
    const action = expect.stringContaining('whole copy')
    expect(await answer.json()).toMatchObject({ code: 'blob.corrupt', action, details: { expected: digest } })
  },
)

test('a large blob that was altered breaks off before its end', async () => {
  const { bytes, digest, path } = await put(3 * 2 ** 20)
  await writeFile(path, Buffer.concat([bytes.subarray(0, -1), Buffer.from('X')]))
  const answer = await get(digest)
  expect(answer.status).toBe(200)
  await expect(answer.arrayBuffer()).rejects.toThrow()
})

test.each([0, 5, 2 ** 20 + 1])('a large blob that was cut to %i bytes is not sent as a whole one', async (left) => {
  const { digest, path } = await put(3 * 2 ** 20)
  await truncate(path, left)
  const answer = await get(digest)
  if (answer.status === 500) expect(await answer.json()).toMatchObject({ code: 'blob.corrupt' })
  else await expect(answer.arrayBuffer()).rejects.toThrow()
})

test('readBlob() and readJson() refuse what is larger than asked for, and readJson() what is no JSON', async () => {
  const { digest } = await put(11)
  const tooLarge = { kind: 'too_large', code: 'blob.too_large', details: { maxBytes: 10 } }
  for (const read of [readBlob, readJson])
    await expect(read(blobs, digest, { maxBytes: 10 })).rejects.toMatchObject(tooLarge)
  await expect(readJson(blobs, digest, { maxBytes: 11 })).rejects.toMatchObject({ code: 'blob.not_json' })
})
