import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BlobStore } from '@plimsoll/sdk/seams'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { openFilesBlobStore } from '../../adapters/files/index.ts'
import { type ManualClock, manualClock } from '../clock.ts'
import { openTestDatabase, type TestDatabase } from '../db/database.fixture.ts'
import { collectBlobs, pinBlobs, unpinBlobs } from './index.ts'

const DAY_MS = 86_400_000
let database: TestDatabase
let store: BlobStore
let clock: ManualClock
let root: string
beforeAll(async () => {
  database = await openTestDatabase()
})
afterAll(() => database.close())
beforeEach(async () => {
  await database.clear()
  root = await mkdtemp(join(tmpdir(), 'plimsoll-pin-'))
  clock = manualClock(Date.now())
  store = await openFilesBlobStore(root, { clock })
})
afterEach(() => rm(root, { recursive: true, force: true }))

/** Stored twice: a new file has the time of the file system, one stored again that of our clock. */
const put = async (text: string) => {
  await store.put(Buffer.from(text))
  return (await store.put(Buffer.from(text))).digest
}
const collect = () => collectBlobs(database.ctx, store, { graceMs: 7 * DAY_MS, clock })
const pin = (owner: string, digests: string[], ttlMs?: number) =>
  database.ctx.transaction((tx) => pinBlobs(tx, store, { owner, digests, ...(ttlMs === undefined ? {} : { ttlMs }) }))

test('collectBlobs() removes what is old and unpinned, and nothing else', async () => {
  const [pinned, loose] = [await put('pinned'), await put('loose')]
  await pin('run_1', [pinned, pinned])
  clock.advance(6 * DAY_MS)
  const young = await put('young')
  expect(await collect()).toEqual({ seen: 3, deleted: 0, deletedBytes: 0 })
  clock.advance(2 * DAY_MS)
  expect(await collect()).toEqual({ seen: 3, deleted: 1, deletedBytes: 5 })
  expect(await store.stat(loose)).toBeUndefined()
  clock.advance(30 * DAY_MS)
  await collect()
  expect(await store.stat(young)).toBeUndefined()
  expect(await store.stat(pinned)).toBeDefined()
})

test('a pin of another project or owner counts; the last one to let go frees the blob', async () => {
  const digest = await put('shared')
  await pin('a', [digest])
  await database.ctx
    .as({ project: 'other' })
    .transaction((tx) => pinBlobs(tx, store, { owner: 'a', digests: [digest] }))
  clock.advance(30 * DAY_MS)
  await database.ctx.transaction((tx) => unpinBlobs(tx, 'a'))
  expect((await collect()).deleted).toBe(0)
  await database.ctx.as({ project: 'other' }).transaction((tx) => unpinBlobs(tx, 'a'))
  expect((await collect()).deleted).toBe(1)
})

test('an expired pin holds nothing; pinning again renews it', async () => {
  const digest = await put('leased')
  await pin('a', [digest], 3_600_000)
  clock.advance(30 * DAY_MS)
  expect((await collect()).deleted).toBe(0)
  await pin('a', [digest], -1)
  expect((await collect()).deleted).toBe(1)
})

test('what is stored again is young again', async () => {
  const digest = await put('again')
  clock.advance(30 * DAY_MS)
  await put('again')
  expect((await collect()).deleted).toBe(0)
  expect(await store.stat(digest)).toBeDefined()
})

test('a pin that comes after the removal is refused until the blob is stored again', async () => {
  const digest = await put('late')
  clock.advance(30 * DAY_MS)
  await collect()
  await expect(pin('a', [digest])).rejects.toMatchObject({ kind: 'conflict', code: 'blob.collected' })
  await put('late')
  await pin('a', [digest])
  clock.advance(30 * DAY_MS)
  expect((await collect()).deleted).toBe(0)
})
