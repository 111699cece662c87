import type { OnlineBatch } from '@plimsoll/sdk/seams'
import { openLmdbOnlineStore } from './online-store.ts'

export const CRASH_BATCHES = 14
const CRASH_RECORDS = 2_000

/** Batch `number` writes every key with a value that names the batch. */
export function crashBatch(number: number, fence: number): OnlineBatch {
  const version = Buffer.alloc(24)
  version.writeUInt32BE(number + 1)
  const records = Array.from({ length: CRASH_RECORDS }, (_, index) => {
    const key = Buffer.from(`\0\0\0\u0001key-${index}`)
    return { key, version, value: Buffer.from(`value ${index} of batch ${number}`) }
  })
  return { generation: 1, fence, watermark: number, records }
}

/** Run by itself, it writes batch after batch and says so, until it is killed. */
if (import.meta.main) {
  const store = openLmdbOnlineStore({ directory: process.argv[2]!, mapSizeBytes: 256 << 20 })
  for (let batch = 0; batch < CRASH_BATCHES; batch += 1) {
    await store.applyBatch(crashBatch(batch, 1))
    process.stdout.write(`${batch}\n`)
  }
  await store.close()
}
