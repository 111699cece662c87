import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { BLOB_STORE_CONTRACT } from '../../../../sdk/src/seams/blob-store.contract.ts'
import { manualClock } from '../../kernel/clock.ts'
import { emptyBucket, openSubject } from './blob-store.fixture.ts'
import { openS3BlobStore, type S3BlobStoreOptions } from './blob-store.ts'
import { startS3, type TestS3 } from './server.fixture.ts'

const MIB = 1 << 20
let s3: TestS3
let scratchDirectory: string
beforeAll(async () => {
  s3 = await startS3()
  scratchDirectory = await mkdtemp(join(tmpdir(), 'plimsoll-s3-scratch-'))
})
afterAll(async () => {
  await s3.close()
  await rm(scratchDirectory, { recursive: true, force: true })
})

beforeEach(() => emptyBucket(s3.client, s3.place.bucket))

const options = (more: Partial<S3BlobStoreOptions> = {}) => ({
  ...s3.place,
  scratchDirectory,
  partBytes: 5 * MIB,
  ...more,
})
const open = (more?: Partial<S3BlobStoreOptions>) => openS3BlobStore(options(more))

test.each(BLOB_STORE_CONTRACT)('S3 blob store: $name', ({ run }) => run(() => openSubject(s3.client, options())))

async function* pieces(count: number): AsyncGenerator<Uint8Array> {
  for (let n = 0; n < count; n++) yield Buffer.alloc(MIB, n)
}

async function read(stream: AsyncIterable<Uint8Array>): Promise<number> {
  let sizeBytes = 0
  for await (const chunk of stream) sizeBytes += chunk.length
  return sizeBytes
}

test('put() sends what fits in one part in one request, more in parts, and what exists not at all', async () => {
  const store = await open()
  s3.requests()
  await store.put(pieces(4))
  expect(s3.requests()).toEqual(['HEAD', 'PUT'])
  const { sizeBytes } = await store.put(pieces(12))
  expect(sizeBytes).toBe(12 * MIB)
  expect(s3.requests()).toEqual(['HEAD', 'POST?uploads', ...Array(3).fill('PUT?uploadId&partNumber'), 'POST?uploadId'])
  await store.put(pieces(12))
  expect(s3.requests()).toEqual(['HEAD'])
  expect(await readdir(scratchDirectory)).toEqual([])
})

test.each([
  ['of one part', 1, 'PUT', []],
  ['of two parts', 7, 'POST?uploadId', ['DELETE?uploadId']],
])(
  'two writers of one new blob %s: the condition refuses the second, which is as good, and no part is left',
  async (_name, count, last, freed) => {
    const [one, two] = [await open(), await open()]
    s3.before(last, () => two.put(pieces(count)))
    s3.refusals()
    s3.requests()
    const { digest } = await one.put(pieces(count))
    expect(s3.refusals().filter((refusal) => refusal.startsWith('412'))).toEqual([`412 ${last}`])
    expect(s3.requests().filter((request) => request.startsWith('DELETE'))).toEqual(freed)
    expect(await read(two.get(digest))).toBe(count * MIB)
  },
)

test('a write that the server finds in conflict with another is sent again as a whole, a bounded number of times', async () => {
  const store = await open()
  s3.fail('PUT', 'conflict', 1)
  s3.requests()
  await store.put(pieces(1))
  expect(s3.requests()).toEqual(['HEAD', 'PUT', 'HEAD', 'PUT'])
  s3.fail('POST?uploadId', 'conflict', 1)
  await store.put(pieces(7))
  const parts = ['POST?uploads', ...Array(2).fill('PUT?uploadId&partNumber'), 'POST?uploadId']
  expect(s3.requests()).toEqual(['HEAD', ...parts, 'DELETE?uploadId', 'HEAD', ...parts])
  s3.fail('PUT', 'conflict', 5)
  const refused = { kind: 'unavailable', code: 'blob.s3_failed' }
  await expect(store.put(Buffer.from('contended'))).rejects.toMatchObject(refused)
})

test('put() of what is older than an hour writes it again, so that it is young', async () => {
  const clock = manualClock(Date.now() + 2 * 3_600_000)
  const store = await open({ clock })
  await store.put(Buffer.from('old'))
  s3.requests()
  await store.put(Buffer.from('old'))
  expect(s3.requests()).toEqual(['HEAD', 'PUT'])
})

test('a server that is busy or resets is asked again, a bounded number of times', async () => {
  const store = await open({ attemptsMax: 3 })
  s3.fail('PUT', 'unavailable', 1)
  s3.fail('PUT', 'reset', 1)
  const { digest } = await store.put(Buffer.from('after two failures'))
  expect(await read(store.get(digest))).toBe(18)
  s3.requests()
  s3.fail('PUT', 'unavailable', 3)
  await expect(store.put(Buffer.from('never'))).rejects.toMatchObject({ kind: 'unavailable', code: 'blob.s3_failed' })
  expect(s3.requests()).toEqual(['HEAD', 'PUT', 'PUT', 'PUT'])
})

test('a stalled answer is given up and asked again', async () => {
  const store = await open({ silenceMs: 300 })
  s3.fail('PUT', 'stall', 1)
  const { digest } = await store.put(Buffer.from('x'))
  s3.fail('HEAD', 'stall', 1)
  expect(await store.stat(digest)).toMatchObject({ sizeBytes: 1 })
})

test('a body that breaks off is taken up where it broke, and the whole is still verified', async () => {
  const store = await open()
  const { digest } = await store.put(pieces(3))
  s3.fail('GET', 'cut-body', 3)
  expect(await read(store.get(digest))).toBe(3 * MIB)
  s3.fail('GET', 'cut-body', 2)
  expect(await read(store.get(digest, { start: MIB, end: 2 * MIB }))).toBe(MIB)
  s3.fail('GET', 'cut-body', 5)
  await expect(read(store.get(digest))).rejects.toMatchObject({ kind: 'unavailable' })
})

test('an upload in parts that fails leaves no object and frees its parts', async () => {
  const store = await open({ attemptsMax: 1 })
  s3.fail('PUT', 'unavailable', 1)
  s3.requests()
  await expect(store.put(pieces(12))).rejects.toMatchObject({ kind: 'unavailable' })
  expect(s3.requests()).toEqual(['HEAD', 'POST?uploads', 'PUT?uploadId&partNumber', 'DELETE?uploadId'])
  for await (const _blob of store.list()) throw new Error('nothing should be there')
})

test('a scratch file that cannot be written is unavailable, what fits into memory needs none, and the source’s error stays', async () => {
  const file = join(scratchDirectory, 'no-directory')
  await writeFile(file, '')
  const store = await open({ scratchDirectory: file })
  await expect(store.put(pieces(12))).rejects.toMatchObject({ kind: 'unavailable', code: 'blob.io_failed' })
  expect((await store.put(pieces(1))).sizeBytes).toBe(MIB)
  const broken = async function* () {
    yield* pieces(1)
    throw new RangeError('the source broke')
  }
  await expect(store.put(broken())).rejects.toThrow(RangeError)
  await rm(file)
})

test('a prefix keeps two stores in one bucket apart', async () => {
  const [one, two] = [await open({ prefix: 'one/' }), await open({ prefix: 'two/' })]
  const { digest } = await one.put(Buffer.from('x'))
  expect(await two.stat(digest)).toBeUndefined()
  for await (const blob of one.list()) expect(blob.digest).toBe(digest)
})

test('a refused secret and a missing bucket say so', async () => {
  const store = await open()
  s3.fail('PUT', 'forbidden', 1)
  const refused = { kind: 'unavailable', code: 'blob.s3_refused' }
  await expect(store.put(Buffer.from('x'))).rejects.toMatchObject(refused)
  const absent = open({ bucket: 'absent-bucket' }).then((other) => other.put(Buffer.from('x')))
  await expect(absent).rejects.toMatchObject({ kind: 'unavailable', code: 'blob.no_bucket' })
})
