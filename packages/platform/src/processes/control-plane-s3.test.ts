import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ListObjectsV2Command } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startS3, type TestS3 } from '../adapters/s3/server.fixture.ts'
import { loadConfig } from '../kernel/config/index.ts'
import { digestBytes } from '../kernel/digest.ts'
import { openControlPlane } from './control-plane.ts'
import {
  applySpine,
  CACHED,
  CODE,
  expectIntact,
  openApprover,
  releaseSpine,
  runSpine,
  SUCCEEDED,
  statesOf,
} from './spine.fixture.ts'

let s3: TestS3
let folder: string
beforeAll(async () => {
  s3 = await startS3()
  folder = await mkdtemp(join(tmpdir(), 'plimsoll-on-s3-'))
})
afterAll(async () => {
  await s3.close()
  await rm(folder, { recursive: true, force: true })
})

const start = (blob: Record<string, unknown>) => {
  const { config } = loadConfig({
    flags: {
      dataDir: join(folder, 'data'),
      server: { port: 0, gatewayPort: 0, grpcPort: 0 },
      log: { level: 'silent' },
      blob,
    },
  })
  return openControlPlane({ kind: 'start', config, ports: {}, api: undefined, replay: undefined })
}

test('a control plane on an S3 store runs a pipeline, releases its model and explains a prediction', async () => {
  const { bucket, region, endpoint, credentials } = s3.place
  const settings = { kind: 's3', bucket, region, endpoint, prefix: 'own/', ...credentials }
  const opened = await start(settings)
  try {
    const api = opened.ready.urls['api']!
    const client = await openApprover(api, (await readFile(join(folder, 'data', 'operator-token'), 'utf8')).trim())
    await applySpine(client, folder)
    expect(statesOf(await runSpine(client))).toEqual(SUCCEEDED)
    expect(statesOf(await runSpine(client))).toEqual(CACHED)
    await expectIntact(client, await releaseSpine(client, 1))
    const log = await client.fetch({
      path: `/api/v1/runs/${(await runSpine(client, { force: ['fit'] })).id}/steps/fit/log`,
    })
    expect(await log.text()).toContain('fitting on 1 file')
  } finally {
    await opened.close(1_000)
  }
  const { Contents = [] } = await s3.client.send(new ListObjectsV2Command({ Bucket: bucket }))
  const keys = Contents.map(({ Key }) => Key)
  const model = digestBytes(CODE['model.onnx']!).slice('sha256:'.length)
  expect(keys).toContain(`own/sha256/${model.slice(0, 2)}/${model.slice(2)}`)
  expect(keys.every((key) => key?.startsWith('own/sha256/'))).toBe(true)
  expect(await readdir(join(folder, 'data', 'blobs')).catch(() => [])).toEqual([])
})

test('a bucket that is not there stops the start with one line that says so', async () => {
  const { region, endpoint, credentials } = s3.place
  await expect(start({ kind: 's3', bucket: 'absent-bucket', region, endpoint, ...credentials })).rejects.toMatchObject({
    kind: 'unavailable',
    code: 'blob.no_bucket',
  })
})
