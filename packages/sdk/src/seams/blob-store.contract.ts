import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { BlobStore } from './blob-store.ts'

/** What a runner of the contract provides for one case, on an empty store. */
export interface BlobStoreSubject {
  store: BlobStore
  /** A second handle on the same place, as another process would open it. */
  reopen(): Promise<BlobStore>
  /** Changes one stored byte behind the store's back. */
  corrupt(digest: string): Promise<void>
}

/** One case: `run` opens its own subject and throws when the rule does not hold. */
export interface BlobStoreCase {
  readonly name: string
  run(open: () => Promise<BlobStoreSubject>): Promise<void>
}

function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

async function collect(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks)
}

async function digestsOf(store: BlobStore): Promise<string[]> {
  const digests: string[] = []
  for await (const { digest } of store.list()) digests.push(digest)
  return digests.sort()
}

/** `sizeBytes` deterministic bytes in chunks of 1 MiB. */
async function* generated(sizeBytes: number, failAfterBytes = Number.POSITIVE_INFINITY): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < sizeBytes; at += 1 << 20) {
    if (at >= failAfterBytes) throw new Error('the source broke')
    yield Buffer.alloc(Math.min(1 << 20, sizeBytes - at), (at >> 20) % 251)
  }
}

/**
 * Content that no store may hold as a whole, what it may hold of it, and how much the process may grow meanwhile. A few
 * parts in flight and what waits to be swept stay well below.
 */
const LARGE_BYTES = 192 << 20
const HELD_MAX_BYTES = 128 << 20
const GROWTH_MAX_BYTES = 160 << 20
const SWEEP_BYTES = 32 << 20
const LOOK_MS = 20

/** The collector of garbage, by which what is held is told from what waits to be swept. */
function exposedCollector(): () => void {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc') as () => void
}

/**
 * The most bytes that were held in buffers, and by which the process grew, while `work` ran: seen on a timer, so that what
 * is put together at the end counts too. Garbage is swept where there seems to be too much, for it takes long.
 */
async function memoryOf(work: (look: () => void) => Promise<void>): Promise<{ held: number; grown: number }> {
  const collectGarbage = exposedCollector()
  collectGarbage()
  const before = process.memoryUsage()
  const most = { held: 0, grown: 0 }
  const look = () => {
    if (process.memoryUsage().arrayBuffers - before.arrayBuffers >= SWEEP_BYTES) collectGarbage()
    const { arrayBuffers, rss } = process.memoryUsage()
    most.held = Math.max(most.held, arrayBuffers - before.arrayBuffers)
    most.grown = Math.max(most.grown, rss - before.rss)
  }
  const timer = setInterval(look, LOOK_MS)
  try {
    await work(look)
  } finally {
    clearInterval(timer)
  }
  return most
}

/** The same stream, with a look at every chunk. */
async function* watched(stream: AsyncIterable<Uint8Array>, look: () => void): AsyncGenerator<Uint8Array> {
  for await (const chunk of stream) {
    look()
    yield chunk
  }
}

const ABSENT = digestOf(Buffer.from('never stored'))
const HELLO = Buffer.from('hello, wörld')

const writing: BlobStoreCase[] = [
  {
    name: 'put() returns the digest and size of the content, and get() the same bytes',
    run: async (open) => {
      const { store } = await open()
      assert.deepEqual(await store.put(HELLO), { digest: digestOf(HELLO), sizeBytes: HELLO.length })
      assert.deepEqual(await collect(store.get(digestOf(HELLO))), HELLO)
    },
  },
  {
    name: 'put() stores the empty blob',
    run: async (open) => {
      const { store } = await open()
      const { digest, sizeBytes } = await store.put(new Uint8Array())
      assert.equal(digest, 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
      assert.equal(sizeBytes, 0)
      assert.equal((await collect(store.get(digest))).length, 0)
    },
  },
  {
    name: 'put() stores the same content once, whoever stores it and however often',
    run: async (open) => {
      const { store, reopen } = await open()
      const other = await reopen()
      const stored = await Promise.all([store.put(HELLO), other.put(HELLO), store.put(HELLO), other.put(HELLO)])
      assert.equal(new Set(stored.map((blob) => blob.digest)).size, 1)
      assert.deepEqual(await digestsOf(store), [digestOf(HELLO)])
      await other.close()
    },
  },
  {
    name: 'put() refuses content that is not what was expected, and keeps nothing',
    run: async (open) => {
      const { store } = await open()
      const refused = store.put(HELLO, { expected: ABSENT })
      await assert.rejects(refused, { code: 'blob.digest_mismatch', kind: 'invalid' })
      assert.deepEqual(await digestsOf(store), [])
      await store.put(HELLO)
      await assert.rejects(store.put(Buffer.from('other'), { expected: digestOf(HELLO) }), {
        code: 'blob.digest_mismatch',
      })
      assert.deepEqual(await collect(store.get(digestOf(HELLO))), HELLO)
    },
  },
  {
    name: 'put() of a source that breaks half-way keeps nothing and gives the error of the source',
    run: async (open) => {
      const { store } = await open()
      await assert.rejects(store.put(generated(20 << 20, 12 << 20)), /the source broke/)
      assert.deepEqual(await digestsOf(store), [])
    },
  },
  {
    name: 'put() of 40 MiB from a stream is whole when read back by another handle',
    run: async (open) => {
      const { store, reopen } = await open()
      const { digest, sizeBytes } = await store.put(generated(40 << 20))
      assert.equal(sizeBytes, 40 << 20)
      const other = await reopen()
      const hash = createHash('sha256')
      for await (const chunk of other.get(digest)) hash.update(chunk)
      assert.equal(`sha256:${hash.digest('hex')}`, digest)
      await other.close()
    },
  },
  {
    name: 'put() and get() of 192 MiB hold a part of it only',
    run: async (open) => {
      const { store } = await open()
      let digest = ''
      const putting = await memoryOf(async (look) => {
        digest = (await store.put(watched(generated(LARGE_BYTES), look))).digest
      })
      const getting = await memoryOf(async (look) => {
        let sizeBytes = 0
        for await (const chunk of watched(store.get(digest), look)) sizeBytes += chunk.length
        assert.equal(sizeBytes, LARGE_BYTES)
      })
      for (const [name, { held, grown }] of Object.entries({ putting, getting })) {
        assert.ok(held < HELD_MAX_BYTES, `${name} held ${held >> 20} MiB in buffers`)
        assert.ok(grown < GROWTH_MAX_BYTES, `${name} made the process grow by ${grown >> 20} MiB`)
      }
    },
  },
  {
    name: 'put() of many blobs at once loses none',
    run: async (open) => {
      const { store } = await open()
      const blobs = Array.from({ length: 40 }, (_, index) => Buffer.from(`blob ${index}`))
      await Promise.all(blobs.map((blob) => store.put(blob)))
      assert.deepEqual(await digestsOf(store), blobs.map(digestOf).sort())
    },
  },
]

const reading: BlobStoreCase[] = [
  {
    name: 'get() of a range gives bytes from start up to but not including end, cut at the end of the blob',
    run: async (open) => {
      const { store } = await open()
      const { digest } = await store.put(Buffer.from('0123456789'))
      const read = async (start: number, end?: number) =>
        (await collect(store.get(digest, end === undefined ? { start } : { start, end }))).toString()
      assert.equal(await read(2, 5), '234')
      assert.equal(await read(7), '789')
      assert.equal(await read(0, 100), '0123456789')
      assert.equal(await read(10), '')
      assert.equal(await read(4, 4), '')
    },
  },
  {
    name: 'get(), stat() and delete() of what is not there',
    run: async (open) => {
      const { store } = await open()
      await assert.rejects(collect(store.get(ABSENT)), { code: 'blob.missing', kind: 'not_found' })
      assert.equal(await store.stat(ABSENT), undefined)
      assert.equal(await store.delete(ABSENT), false)
      assert.equal(store.localPath(ABSENT), undefined)
    },
  },
  {
    name: 'get() never gives the whole of a damaged blob',
    run: async (open) => {
      const { store, corrupt } = await open()
      for (const content of [HELLO, await collect(generated(3 << 20))]) {
        const { digest, sizeBytes } = await store.put(content)
        await corrupt(digest)
        let seenBytes = 0
        const reading = async () => {
          for await (const chunk of store.get(digest)) seenBytes += chunk.length
        }
        await assert.rejects(reading(), { code: 'blob.corrupt', kind: 'internal' })
        assert.ok(seenBytes < sizeBytes)
      }
    },
  },
  {
    name: 'get() abandoned half-way frees what it held',
    run: async (open) => {
      const { store } = await open()
      const { digest } = await store.put(generated(4 << 20))
      for (let round = 0; round < 50; round++) for await (const _chunk of store.get(digest)) break
      assert.equal((await collect(store.get(digest))).length, 4 << 20)
    },
  },
]

const keeping: BlobStoreCase[] = [
  {
    name: 'names that are no digest are refused everywhere',
    run: async (open) => {
      const { store } = await open()
      const hostile = [
        '',
        'sha256:',
        `sha256:${'A'.repeat(64)}`,
        `sha256:${'0'.repeat(63)}`,
        'sha256:../../../etc/passwd',
        '../x',
        `sha256:${'0'.repeat(62)}/.`,
        `md5:${'0'.repeat(64)}`,
        `${ABSENT}\n`,
      ]
      for (const digest of hostile) {
        const bad = { code: 'digest.malformed' }
        await assert.rejects(collect(store.get(digest)), bad)
        await assert.rejects(store.stat(digest), bad)
        await assert.rejects(store.delete(digest), bad)
        await assert.rejects(store.put(HELLO, { expected: digest }), bad)
        assert.throws(() => store.localPath(digest), bad)
      }
    },
  },
  {
    name: 'stat() and list() agree on size and time; delete() removes once',
    run: async (open) => {
      const { store } = await open()
      const { digest } = await store.put(HELLO)
      const found = await store.stat(digest)
      assert.equal(found?.sizeBytes, HELLO.length)
      for await (const listed of store.list()) assert.deepEqual(listed, { digest, ...found })
      assert.equal(await store.delete(digest), true)
      assert.equal(await store.delete(digest), false)
      assert.deepEqual(await digestsOf(store), [])
      await store.put(HELLO)
      assert.deepEqual(await collect(store.get(digest)), HELLO)
    },
  },
  {
    name: 'close() twice is fine, and a closed store is unavailable',
    run: async (open) => {
      const { store } = await open()
      await store.close()
      await store.close()
      await assert.rejects(store.put(HELLO), { code: 'blob.closed', kind: 'unavailable' })
      await assert.rejects(collect(store.get(ABSENT)), { code: 'blob.closed' })
    },
  },
]

/** What every blob store must hold. */
export const BLOB_STORE_CONTRACT: readonly BlobStoreCase[] = [...writing, ...reading, ...keeping]
