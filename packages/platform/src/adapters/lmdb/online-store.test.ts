import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { onlineStoreContract } from '../../../../sdk/src/seams/online-store.contract.ts'
import { CRASH_BATCHES, crashBatch } from './crash-batch.fixture.ts'
import { openLmdbOnlineStore } from './index.ts'

const folder = () => mkdtempSync(join(tmpdir(), 'plimsoll-lmdb-'))

describe('openLmdbOnlineStore() keeps the contract', () => {
  test.each(onlineStoreContract)('$name', async ({ run }) => {
    const directory = folder()
    await run(async () => openLmdbOnlineStore({ directory, mapSizeBytes: 64 << 20 }))
  })
})

test('openLmdbOnlineStore() for reading refuses writes', async () => {
  const store = openLmdbOnlineStore({ directory: folder(), isReadOnly: true, mapSizeBytes: 64 << 20 })
  await expect(store.applyBatch({ generation: 1, fence: 1, watermark: 0, records: [] })).rejects.toMatchObject({
    code: 'features.read_only',
  })
  await store.close()
})

/** All values of all records that the fixture writes, after the same batches were applied to the end. */
async function finish(directory: string): Promise<string[]> {
  const store = openLmdbOnlineStore({ directory, mapSizeBytes: 256 << 20 })
  for (let batch = 0; batch < CRASH_BATCHES; batch += 1) await store.applyBatch(crashBatch(batch, 2))
  const values = await store.readBatch(crashBatch(0, 1).records.map(({ key }) => key))
  await store.close()
  return values.map((value) => Buffer.from(value ?? []).toString('hex'))
}

test('applyBatch() killed half-way leaves whole batches, and a rerun the bytes of a clean run', {
  timeout: 60_000,
}, async () => {
  const clean = await finish(folder())
  for (const afterBatch of [1, 5, 11]) {
    const directory = folder()
    const child = spawn(process.execPath, [new URL('./crash-batch.fixture.ts', import.meta.url).pathname, directory], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const exited = once(child, 'exit')
    let seen = ''
    for await (const chunk of child.stdout) {
      seen += String(chunk)
      if (seen.split('\n').length > afterBatch) {
        child.kill('SIGKILL')
        break
      }
    }
    await exited
    const store = openLmdbOnlineStore({ directory, mapSizeBytes: 256 << 20 })
    const state = await store.generation(1)
    const found = await store.readBatch(crashBatch(0, 1).records.map(({ key }) => key))
    const last = crashBatch(state!.watermark, 1).records
    expect(state!.watermark).toBeGreaterThanOrEqual(afterBatch - 1)
    expect(found.map((value) => Buffer.from(value!).toString())).toEqual(
      last.map(({ value }) => Buffer.from(value).toString()),
    )
    await store.close()
    expect(await finish(directory)).toEqual(clean)
  }
})
