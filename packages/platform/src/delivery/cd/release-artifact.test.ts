import { chmodSync, rmSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { openTestDatabase, type TestDatabase } from '../../kernel/db/database.fixture.ts'
import type { Digest } from '../../kernel/digest.ts'
import { openTestApi, type TestApi } from '../../kernel/http/http.fixture.ts'
import { addModel, addVersion, approveAs, modelOf } from '../../registry/registry.fixture.ts'
import { ADA, addRoute, BEN, openArtifacts } from '../delivery.fixture.ts'
import { deliveryEndpoints, listReleases } from '../index.ts'

let database: TestDatabase
let artifacts: Awaited<ReturnType<typeof openArtifacts>>
let api: TestApi
beforeAll(async () => {
  database = await openTestDatabase()
  artifacts = await openArtifacts([])
  api = openTestApi(deliveryEndpoints(artifacts), () => database.ctx.as({ principal: BEN }))
})
beforeEach(() => database.clear())
afterAll(async () => {
  await api.close()
  await artifacts.close()
  await database.close()
})

async function addStored(bytes: string): Promise<{ version: number; path: string }> {
  const { blobs } = artifacts
  const stored = await blobs.put(Buffer.from(bytes))
  const artifact = { digest: stored.digest as Digest, sizeBytes: stored.sizeBytes, format: 'onnx' as const } // the store's own
  const version = await addVersion(database.ctx, 'delay', bytes, { artifact })
  await approveAs(database.ctx, ADA, { model: 'delay', version })
  return { version, path: blobs.localPath!(stored.digest)! }
}
const release = (version: number) =>
  api.call('POST', '/api/v1/routes/delay/releases', { environment: 'production', version, reason: 'better' })

test('a version whose approved bytes were altered or are gone is not released', async () => {
  await addModel(database.ctx, modelOf('delay'))
  await addRoute(database.ctx)
  const whole = await addStored('whole')
  expect(await release(whole.version)).toMatchObject({ status: 200, json: { version: whole.version } })
  const { version, path } = await addStored('altered')
  chmodSync(path, 0o600)
  writeFileSync(path, 'Altered')
  expect(await release(version)).toMatchObject({ status: 412, json: { code: 'delivery.artifact_altered' } })
  rmSync(path)
  expect(await release(version)).toMatchObject({ status: 412, json: { code: 'delivery.artifact_missing' } })
  expect(await listReleases(database.ctx, { environment: 'production', route: 'delay' }, { limit: 9 })).toHaveLength(1)
  expect((await release(99)).json).toMatchObject({ code: 'registry.version_not_found' })
})
