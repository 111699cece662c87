import { mkdirSync } from 'node:fs'
import type { OnlineBatch, OnlineBatchResult, OnlineGeneration, OnlineStore } from '@plimsoll/sdk/seams'
import { type Database, open, type RootDatabase } from 'lmdb'
import { PlimsollError } from '../../kernel/errors.ts'

const VERSION_BYTES = 24
const KEY_BYTES_MAX = 1_978
const VALUE_BYTES_MAX = 64 << 20
const CHUNK_RECORDS = 100_000

export interface LmdbOptions {
  /** Directory of the store, on a local disk: LMDB's lock does not hold on network file systems. */
  readonly directory: string
  /** Address space reserved for the file, 16 GiB when absent. The file grows to what it holds. */
  readonly mapSizeBytes?: number
  /** True: refuses writes; what a gateway opens. */
  readonly isReadOnly?: boolean
}

interface Tables {
  readonly root: RootDatabase
  readonly rows: Database<Buffer, Buffer>
  readonly meta: Database<unknown, string>
}

function openTables(options: LmdbOptions): Tables {
  mkdirSync(options.directory, { recursive: true, mode: 0o700 })
  const root = open({
    path: options.directory,
    mapSize: options.mapSizeBytes ?? 16 * 2 ** 30,
    maxDbs: 4,
    maxReaders: 512,
    noMemInit: true,
    // Readers open the same file for writing too, so that they can be there first; only `applyBatch` and `flip` write.
  })
  // A killed reader pins pages for ever: whoever opens next clears it away.
  root.readerCheck()
  const rows = root.openDB<Buffer, Buffer>({ name: 'rows', keyEncoding: 'binary', encoding: 'binary' })
  const meta = root.openDB<unknown, string>({ name: 'meta', encoding: 'json' })
  return { root, rows, meta }
}

function refusedRecord(what: string): PlimsollError {
  return new PlimsollError('invalid', 'features.bad_record', `Cannot store an online record: ${what}`)
}

function checkBatch({ records }: OnlineBatch): void {
  if (records.length > CHUNK_RECORDS)
    throw refusedRecord(`a batch of ${records.length} records, at most ${CHUNK_RECORDS}`)
  for (const { key, version, value } of records) {
    if (version.length !== VERSION_BYTES)
      throw refusedRecord(`a version of ${version.length} bytes, expected ${VERSION_BYTES}`)
    if (key.length === 0 || key.length > KEY_BYTES_MAX)
      throw refusedRecord(`a key of ${key.length} bytes, at most ${KEY_BYTES_MAX}`)
    if (value.length > VALUE_BYTES_MAX)
      throw refusedRecord(`a value of ${value.length} bytes, at most ${VALUE_BYTES_MAX}`)
  }
}

function applyRecords({ rows }: Tables, batch: OnlineBatch): OnlineBatchResult {
  let applied = 0
  let stale = 0
  for (const { key, version, value } of batch.records) {
    const name = Buffer.from(key)
    const stored = rows.getBinaryFast(name)
    if (stored && Buffer.compare(version, stored.subarray(0, VERSION_BYTES)) <= 0) {
      stale += 1
      continue
    }
    void rows.put(name, Buffer.concat([version, value]))
    applied += 1
  }
  return { applied, stale }
}

const stateOf = (generation: number) => `generation:${generation}`
/** Says that a generation is being dropped: its state goes first, so that no lookup takes a part for the whole. */
const droppingOf = (generation: number) => `dropping:${generation}`

function prefixOf(generation: number): Buffer {
  const prefix = Buffer.alloc(4)
  prefix.writeUInt32BE(generation)
  return prefix
}

function dropRecords({ rows, meta }: Tables, generation: number, limit: number): number {
  const isBegun = meta.get(droppingOf(generation)) !== undefined
  if (isBegun && meta.get(stateOf(generation)) !== undefined) {
    void meta.remove(droppingOf(generation))
    return 0
  }
  void meta.remove(stateOf(generation))
  const range = { start: prefixOf(generation), end: prefixOf(generation + 1), limit }
  const keys = [...rows.getKeys(range)]
  for (const key of keys) void rows.remove(key)
  if (keys.length < limit) void meta.remove(droppingOf(generation))
  else void meta.put(droppingOf(generation), true)
  return keys.length
}

function namedGenerations({ meta }: Tables): number[] {
  const numbers = [...meta.getKeys()].flatMap((name) => {
    const number = /^(?:generation|dropping):(\d+)$/.exec(name)?.[1]
    return number === undefined ? [] : [Number(number)]
  })
  return [...new Set(numbers)]
}

/** LMDB in a directory of this host: any number of reading processes, one writing transaction at a time. */
export function openLmdbOnlineStore(options: LmdbOptions): OnlineStore {
  const tables = openTables(options)
  const { root, rows, meta } = tables
  let isClosed = false
  const requireWritable = () => {
    if (options.isReadOnly)
      throw new PlimsollError(
        'forbidden',
        'features.read_only',
        'Cannot write to the online store: it was opened for reading',
      )
  }
  const readNow = (key: Uint8Array): Uint8Array | undefined => {
    const found = rows.getBinaryFast(key as Buffer) // lmdb takes any Uint8Array
    // The buffer is a shared one whose `length` alone says where the value ends.
    return found?.subarray(VERSION_BYTES, found.length)
  }
  const generationNow = (generation: number) => meta.get(stateOf(generation)) as OnlineGeneration | undefined // written by applyBatch only
  return {
    async applyBatch(batch) {
      requireWritable()
      checkBatch(batch)
      const name = stateOf(batch.generation)
      const result = root.transactionSync(() => {
        const state = meta.get(name) as OnlineGeneration | undefined // written below only
        if (state && batch.fence < state.fence) {
          throw new PlimsollError(
            'conflict',
            'features.fence_lost',
            `Cannot write generation ${batch.generation}: another writer holds fence ${state.fence}, this one ${batch.fence}`,
          )
        }
        void meta.put(name, {
          fence: batch.fence,
          watermark: Math.max(batch.watermark, state?.watermark ?? batch.watermark),
        })
        return applyRecords(tables, batch)
      })
      await root.flushed
      return result
    },
    readBatch: async (keys) =>
      keys.map((key) => {
        const found = readNow(key)
        return found && Uint8Array.prototype.slice.call(found)
      }),
    readNow,
    generation: async (generation) => generationNow(generation),
    generationNow,
    generations: async () => namedGenerations(tables),
    async drop(generation, limit) {
      requireWritable()
      const removed = root.transactionSync(() => dropRecords(tables, generation, limit))
      await root.flushed
      return removed
    },
    async flip(slot, generation) {
      requireWritable()
      root.transactionSync(() => void meta.put(`slot:${slot}`, generation))
      await root.flushed
    },
    current: async (slot) => meta.get(`slot:${slot}`) as number | undefined, // written above only
    async close() {
      if (isClosed) return
      isClosed = true
      await root.close()
    },
  }
}
