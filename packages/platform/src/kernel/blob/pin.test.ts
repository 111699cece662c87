import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BlobStore } from '@plimsoll/sdk/seams'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { openFilesBlobStore } from '../../adapters/files/index.ts'
import { type ManualClock, manualClock } from '../clock.ts'
import { openTestDatabase, type TestDatabase } from '../db/database.fixture.ts'
import { alsoPin, collectBlobs, movePins, pinAll, pinBlobs, unpinBlobs } from './index.ts'

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

/** The store, with members of its own. */
const storeWith = (own: Partial<BlobStore>): BlobStore =>
  new Proxy(store, {
    get: (target, name: keyof BlobStore) => {
      const member = target[name]
      return own[name] ?? (typeof member === 'function' ? member.bind(target) : member)
    },
  })

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

test('what is stored again after a collection has listed it is left alone', async () => {
  const digest = await put('again')
  clock.advance(30 * DAY_MS)
  const listed = storeWith({
    async *list() {
      yield* store.list()
      await put('again')
    },
  })
  expect(await collectBlobs(database.ctx, listed, { graceMs: 7 * DAY_MS, clock })).toMatchObject({
    seen: 1,
    deleted: 0,
  })
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

test('what a manifest names is kept as long as the manifest, by whoever pins it', async () => {
  const [manifest, file, other] = [await put('manifest'), await put('file'), await put('other')]
  const parts = new Map([[manifest, [file]]])
  await database.ctx.transaction((tx) => pinAll(tx, store, [{ owner: 'run', digests: [manifest, other], parts }]))
  await database.ctx.transaction((tx) => alsoPin(tx, { owner: 'version', digests: [manifest, null] }))
  clock.advance(30 * DAY_MS)
  await database.ctx.transaction((tx) => unpinBlobs(tx, 'run'))
  expect((await collect()).deleted).toBe(1)
  expect([await store.stat(other), await store.stat(file)]).toEqual([undefined, expect.anything()])
  await database.ctx.transaction((tx) => movePins(tx, 'version', 'renamed'))
  await database.ctx.transaction((tx) => unpinBlobs(tx, 'version'))
  expect((await collect()).deleted).toBe(0)
  await database.ctx.transaction((tx) => unpinBlobs(tx, 'renamed'))
  await collect()
  expect((await collect()).seen).toBe(0)
  expect(await database.ctx.db.selectFrom('blob_part').selectAll().execute()).toEqual([])
})

test('a pin hears of a removal under way, also of what its manifest names', async () => {
  const [manifest, file] = [await put('manifest'), await put('file')]
  await pin('a', [manifest])
  await database.ctx.transaction((tx) =>
    pinBlobs(tx, store, { owner: 'b', digests: [manifest], parts: new Map([[manifest, [file]]]) }),
  )
  // As at the moment between the announcement of the removal and the removal itself.
  await database.ctx.db.insertInto('blob_collected').values({ digest: file, done_at: null }).execute()
  const refused = { kind: 'conflict', code: 'blob.collected', details: { digest: file } }
  await expect(pin('c', [file])).rejects.toMatchObject(refused)
  await expect(pin('c', [manifest])).rejects.toMatchObject(refused)
  await database.ctx.db.updateTable('blob_collected').set({ done_at: new Date() }).execute()
  await pin('c', [manifest])
})

test('a collection that is asked to end stops before the next blob, and says what it did', async () => {
  for (let n = 0; n < 3; n++) await put(`loose ${n}`)
  clock.advance(30 * DAY_MS)
  const stop = new AbortController()
  const slow = storeWith({
    delete: (digest) => {
      stop.abort()
      return store.delete(digest)
    },
  })
  const options = { graceMs: DAY_MS, clock, signal: stop.signal }
  expect(await collectBlobs(database.ctx, slow, options)).toMatchObject({ deleted: 1 })
})

test('what was stored before rows pinned what they name is left alone', async () => {
  const digest = await put('of an earlier release')
  clock.set(Date.now() - 400 * DAY_MS)
  await store.put(Buffer.from('of an earlier release'))
  clock.set(Date.now())
  expect(await collect()).toEqual({ seen: 1, deleted: 0, deletedBytes: 0 })
  expect(await store.stat(digest)).toBeDefined()
})
