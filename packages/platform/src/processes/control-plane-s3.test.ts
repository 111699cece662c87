import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ListObjectsV2Command } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { startS3, type TestS3 } from '../adapters/s3/server.fixture.ts'
import { loadConfig } from '../kernel/config/index.ts'
import { digestBytes } from '../kernel/digest.ts'
import { openBlobs } from './blob-store.ts'
import { filesWith, tellAll } from './secret.fixture.ts'
import {
  CACHED,
  expectIntact,
  MODEL,
  openTestPlane,
  releaseSpine,
  runSpine,
  SUCCEEDED,
  statesOf,
} from './spine.fixture.ts'

// Each case runs whole pipelines; a loaded machine takes its time.
vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 })

let s3: TestS3
beforeAll(async () => {
  s3 = await startS3()
})
afterAll(() => s3.close())

test('a control plane on an S3 store runs a pipeline, releases its model and explains a prediction', async () => {
  const { bucket, region, endpoint, credentials } = s3.place
  const plane = await openTestPlane({ blob: { kind: 's3', bucket, region, endpoint, prefix: 'own/', ...credentials } })
  try {
    const { client, folder } = plane
    expect(statesOf(await runSpine(client))).toEqual(SUCCEEDED)
    expect(statesOf(await runSpine(client))).toEqual(CACHED)
    await expectIntact(client, await releaseSpine(plane, 1))
    const forced = await runSpine(client, { force: ['fit'] })
    const log = await client.fetch({ path: `/api/v1/runs/${forced.id}/steps/fit/log` })
    expect(await log.text()).toContain('fitting on 1 file')
    expect(await readdir(join(folder, 'data', 'blobs')).catch(() => [])).toEqual([])
  } finally {
    await plane.close(1_000)
  }
  const { Contents = [] } = await s3.client.send(new ListObjectsV2Command({ Bucket: bucket }))
  const keys = Contents.map(({ Key }) => Key)
  const model = digestBytes(MODEL).slice('sha256:'.length)
  expect(keys).toContain(`own/sha256/${model.slice(0, 2)}/${model.slice(2)}`)
  expect(keys.every((key) => key?.startsWith('own/sha256/'))).toBe(true)
})

test('a bucket that is not there stops the start with one line that says so', async () => {
  const { region, endpoint, credentials } = s3.place
  const scratchDirectory = await mkdtemp(join(tmpdir(), 'plimsoll-absent-'))
  const { config } = await loadConfig({
    flags: { blob: { kind: 's3', bucket: 'absent', region, endpoint, ...credentials } },
  })
  const opening = openBlobs(config.blob, { directory: scratchDirectory, scratchDirectory })
  await expect(opening).rejects.toMatchObject({ kind: 'unavailable', code: 'blob.no_bucket' })
  await rm(scratchDirectory, { recursive: true })
})

test('the secret key of the store is in no log, no file and no answer', async () => {
  const { bucket, endpoint } = s3.place
  const canary = 'canary-in-the-secret-key' // s3rver takes any
  const settings = {
    PLIMSOLL_BLOB_KIND: 's3',
    PLIMSOLL_BLOB_BUCKET: bucket,
    PLIMSOLL_BLOB_ENDPOINT: endpoint!,
    PLIMSOLL_BLOB_ACCESS_KEY_ID: 'S3RVER',
    PLIMSOLL_BLOB_SECRET_ACCESS_KEY: canary,
  }
  const bodies: string[] = []
  await using told = await tellAll(settings, { PLIMSOLL_BLOB_BUCKET: 'absent' }, async (api, token) => {
    const put = async (text: string) => {
      const path = `/api/v1/blobs/${digestBytes(Buffer.from(text))}`
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/octet-stream' }
      const answer = await fetch(api + path, { method: 'PUT', headers, body: text })
      bodies.push(await answer.text())
      return answer.ok
    }
    expect(await put('kept')).toBe(true)
    for (const method of ['HEAD', 'PUT', 'POST']) s3.fail(method, 'forbidden', 1)
    expect(await put('refused')).toBe(false)
  })
  expect(told.refused.status).not.toBe(0)
  expect(JSON.stringify([told.refused, bodies])).not.toContain(canary)
  expect(told.log).toContain('"blob.s3_refused"')
  expect(await filesWith(canary, told.dataDir)).toEqual([])
})
