import assert from 'node:assert/strict'
import type { OnlineRecord, OnlineStore } from './online-store.ts'

/** One rule that every online store keeps. `open` gives the same store again; each case starts with an empty one. */
export interface OnlineStoreCase {
  readonly name: string
  run(open: () => Promise<OnlineStore>): Promise<void>
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

function record(key: string, version: number, value: string): OnlineRecord {
  const versionBytes = new Uint8Array(24)
  new DataView(versionBytes.buffer).setBigUint64(0, BigInt(version))
  return { key: bytes(`\0\0\0\u0001${key}`), version: versionBytes, value: bytes(value) }
}

async function read(store: OnlineStore, ...keys: string[]): Promise<(string | undefined)[]> {
  const found = await store.readBatch(keys.map((key) => bytes(`\0\0\0\u0001${key}`)))
  return found.map((value) => (value ? new TextDecoder().decode(value) : undefined))
}

const batch = (records: OnlineRecord[], fence = 1, watermark = 0) => ({ generation: 1, fence, watermark, records })

/** The contract of `OnlineStore`: run every case against an adapter. */
export const onlineStoreContract: readonly OnlineStoreCase[] = [
  {
    name: 'a missing key is undefined, in the order of the keys',
    async run(open) {
      const store = await open()
      await store.applyBatch(batch([record('b', 1, 'B')]))
      assert.deepEqual(await read(store, 'a', 'b', 'a', 'b'), [undefined, 'B', undefined, 'B'])
      assert.deepEqual(await store.readBatch([]), [])
      await store.close()
    },
  },
  {
    name: 'a lower or equal version never replaces a higher one',
    async run(open) {
      const store = await open()
      assert.deepEqual(await store.applyBatch(batch([record('a', 5, 'five')])), { applied: 1, stale: 0 })
      assert.deepEqual(await store.applyBatch(batch([record('a', 4, 'four'), record('a', 5, 'again')])), {
        applied: 0,
        stale: 2,
      })
      assert.deepEqual(await read(store, 'a'), ['five'])
      await store.close()
    },
  },
  {
    name: 'within one batch the highest version of a key wins, wherever it stands',
    async run(open) {
      const store = await open()
      await store.applyBatch(batch([record('a', 7, '7'), record('a', 6, '6'), record('a', 8, '8')]))
      await store.applyBatch(batch([record('b', 8, '8'), record('b', 6, '6')]))
      assert.deepEqual(await read(store, 'a', 'b'), ['8', '8'])
      await store.close()
    },
  },
  {
    name: 'an older fence is refused and changes nothing',
    async run(open) {
      const store = await open()
      await store.applyBatch(batch([record('a', 1, 'one')], 3))
      await assert.rejects(store.applyBatch(batch([record('a', 2, 'two')], 2)), { code: 'features.fence_lost' })
      assert.deepEqual(await read(store, 'a'), ['one'])
      await store.close()
    },
  },
  {
    name: 'the watermark is stored with its batch and never goes back',
    async run(open) {
      const store = await open()
      assert.equal(await store.generation(1), undefined)
      await store.applyBatch(batch([record('a', 1, 'one')], 1, 50))
      await store.applyBatch(batch([], 2, 40))
      assert.deepEqual(await store.generation(1), { fence: 2, watermark: 50 })
      if (store.generationNow) assert.deepEqual(store.generationNow(1), { fence: 2, watermark: 50 })
      await store.close()
    },
  },
  {
    name: 'what was acknowledged is there after closing and opening; closing twice is free',
    async run(open) {
      const first = await open()
      await first.applyBatch(batch([record('ü\0', 1, ''), record('z', 1, 'last')]))
      await first.flip('view', 1)
      await first.close()
      await first.close()
      const second = await open()
      assert.deepEqual(await read(second, 'ü\0', 'z'), ['', 'last'])
      assert.equal(await second.current('view'), 1)
      await second.close()
    },
  },
  {
    name: 'two writers interleave in any order and the highest version stays',
    async run(open) {
      const store = await open()
      await Promise.all([9, 3, 7, 1, 8].map((v) => store.applyBatch(batch([record('a', v, String(v))]))))
      assert.deepEqual(await read(store, 'a'), ['9'])
      await store.close()
    },
  },
  {
    name: 'keys of 1,024 bytes are taken, and versions of another length refused',
    async run(open) {
      const store = await open()
      await store.applyBatch(batch([record('k'.repeat(1_020), 1, 'long')]))
      assert.deepEqual(await read(store, 'k'.repeat(1_020)), ['long'])
      const short = { ...record('a', 1, 'x'), version: new Uint8Array(8) }
      await assert.rejects(store.applyBatch(batch([short])), { code: 'features.bad_record' })
      await store.close()
    },
  },
  {
    name: 'a generation is dropped bit by bit, its state first, and no other with it',
    async run(open) {
      const store = await open()
      const other = record('a', 1, 'other')
      other.key.set([0, 0, 0, 2])
      await store.applyBatch(batch(['a', 'b', 'c'].map((key) => record(key, 1, key))))
      await store.applyBatch({ generation: 2, fence: 1, watermark: 9, records: [other] })
      assert.deepEqual((await store.generations()).sort(), [1, 2])
      assert.equal(await store.drop(1, 2), 2)
      assert.equal(await store.generation(1), undefined)
      assert.deepEqual((await store.generations()).sort(), [1, 2])
      assert.equal(await store.drop(1, 2), 1)
      assert.deepEqual(await read(store, 'a', 'b', 'c'), [undefined, undefined, undefined])
      assert.deepEqual(await store.generations(), [2])
      assert.deepEqual(await store.generation(2), { fence: 1, watermark: 9 })
      assert.equal(new TextDecoder().decode((await store.readBatch([other.key]))[0]), 'other')
      assert.equal(await store.drop(1, 2), 0)
      await store.close()
    },
  },
  {
    name: 'a generation that is written again while it is dropped stays',
    async run(open) {
      const store = await open()
      await store.applyBatch(batch(['a', 'b', 'c'].map((key) => record(key, 1, key))))
      assert.equal(await store.drop(1, 1), 1)
      await store.applyBatch(batch(['a', 'b'].map((key) => record(key, 2, `new ${key}`))))
      assert.equal(await store.drop(1, 1), 0)
      assert.deepEqual(await read(store, 'a', 'b'), ['new a', 'new b'])
      assert.deepEqual(await store.generations(), [1])
      assert.equal(await store.drop(1, 9), 3)
      assert.deepEqual(await store.generations(), [])
      await store.close()
    },
  },
]
