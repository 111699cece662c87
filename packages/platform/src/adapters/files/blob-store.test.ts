import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { BLOB_STORE_CONTRACT, type BlobStoreSubject } from '../../../../sdk/src/seams/blob-store.contract.ts'
import { manualClock } from '../../kernel/clock.ts'
import { isPlimsollError } from '../../kernel/errors.ts'
import { openFilesBlobStore } from './blob-store.ts'
import { FILE_CALLS, type FileCalls } from './file-calls.ts'

const roots: string[] = []
afterEach(async () => {
  for (const root of roots.splice(0)) await rm(root, { recursive: true, force: true })
})

async function makeRoot(): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'plimsoll-blob-'))
  roots.push(root)
  return root
}

async function openSubject(): Promise<BlobStoreSubject> {
  const root = await makeRoot()
  const store = await openFilesBlobStore(root)
  return {
    store,
    reopen: () => openFilesBlobStore(root),
    corrupt: async (digest) => {
      const path = store.localPath(digest)!
      const bytes = await readFile(path)
      bytes[bytes.length >> 1]! ^= 1
      await chmod(path, 0o600)
      await writeFile(path, bytes)
    },
  }
}

test.each(BLOB_STORE_CONTRACT)('files blob store: $name', ({ run }) => run(openSubject))

/** Fails call number `failAt` (from 1) and, when `forever`, every later one. */
function failing(failAt: number, forever: boolean): { calls: FileCalls; count(): number; heal(): void } {
  let count = 0
  let isHealed = false
  const wrapped = Object.entries(FILE_CALLS).map(([name, call]) => [
    name,
    async (...args: unknown[]) => {
      count++
      if (!isHealed && (forever ? count >= failAt : count === failAt))
        throw Object.assign(new Error('input/output error'), { code: 'EIO' })
      return (call as (...args: unknown[]) => unknown)(...args)
    },
  ])
  return { calls: Object.fromEntries(wrapped) as FileCalls, count: () => count, heal: () => (isHealed = true) }
}

test.each([false, true])(
  'every file call of put() fails once (from then on: %s): no half blob, and it recovers',
  async (forever) => {
    const content = Buffer.alloc(600_000, 7)
    for (let failAt = 1, finished = false; !finished; failAt++) {
      expect(failAt).toBeLessThan(40)
      const root = await makeRoot()
      await openFilesBlobStore(root)
      const fault = failing(failAt, forever)
      try {
        const store = await openFilesBlobStore(root, { calls: fault.calls })
        await store.put(
          (async function* () {
            for (let at = 0; at < content.length; at += 200_000) yield content.subarray(at, at + 200_000)
          })(),
        )
        finished = fault.count() < failAt
      } catch (error) {
        expect(isPlimsollError(error) && error.kind).toBe('unavailable')
      }
      fault.heal()
      const after = await openFilesBlobStore(root)
      for await (const { digest, sizeBytes } of after.list()) {
        expect(sizeBytes).toBe(content.length)
        for await (const _chunk of after.get(digest));
      }
      expect((await after.put(content)).sizeBytes).toBe(content.length)
      await rm(root, { recursive: true })
    }
  },
)

test('put() flushes a blob before it has its name, and its folder, and a folder that is new, before it returns', async () => {
  const root = await makeRoot()
  const done: string[] = []
  const calls: FileCalls = {
    ...FILE_CALLS,
    open: async (path, flags) => {
      const file = await FILE_CALLS.open(path, flags)
      const name = path.slice(root.length + 1).replace(/^incoming\/.*/, 'new')
      const { sync, writeFile } = file
      return Object.assign(file, {
        sync: async () => {
          await sync.call(file)
          done.push(`sync ${name}`) // it has ended: what stands behind it came after it
        },
        writeFile: (bytes: Uint8Array) => {
          done.push(`write ${name}`)
          return writeFile.call(file, bytes)
        },
      })
    },
    rename: async (from, to) => {
      done.push(`rename to ${to.slice(root.length + 1)}`)
      await FILE_CALLS.rename(from, to)
    },
  }
  const store = await openFilesBlobStore(root, { calls })
  const put = async (content: string) => {
    const { digest } = await store.put(Buffer.from(content))
    return { shard: `sha256/${digest.slice(7, 9)}`, rest: digest.slice(9) }
  }
  const { shard, rest } = await put('x')
  const published = ['write new', 'sync new', `rename to ${shard}/${rest}`, `sync ${shard}`]
  expect(done.splice(0)).toEqual([...published, 'sync sha256'])
  await store.delete(`sha256:${shard.slice(7)}${rest}`)
  await put('x')
  expect(done).toEqual(published)
})

test('a full disk is `exhausted`, not an internal error', async () => {
  const root = await makeRoot()
  const calls: FileCalls = {
    ...FILE_CALLS,
    write: () => Promise.reject(Object.assign(new Error('no space'), { code: 'ENOSPC' })),
  }
  const store = await openFilesBlobStore(root, { calls })
  await expect(store.put(Buffer.from('x'))).rejects.toMatchObject({ kind: 'full', code: 'disk.full' })
  expect(await readdir(join(root, 'incoming'))).toEqual([])
})

test('opening sweeps what a dead process left, and leaves what a live one is writing', async () => {
  const root = await makeRoot()
  const store = await openFilesBlobStore(root)
  let release = () => {}
  const held = new Promise<void>((resolve) => (release = resolve))
  const putting = store.put(
    (async function* () {
      yield Buffer.from('a')
      await held
      yield Buffer.from('b')
    })(),
  )
  await expect.poll(async () => (await readdir(join(root, 'incoming'))).length).toBe(1)
  const [live] = await readdir(join(root, 'incoming'))
  const dead = live!.replace(/\.\d+\.\d+\./, '.999999999.1.')
  await writeFile(join(root, 'incoming', dead), 'half')
  await openFilesBlobStore(root)
  expect(await readdir(join(root, 'incoming'))).toEqual([live])
  release()
  expect((await putting).sizeBytes).toBe(2)
})

test('what another world left is swept after a day', async () => {
  const root = await makeRoot()
  const clock = manualClock(Date.now())
  await openFilesBlobStore(root, { clock })
  await writeFile(join(root, 'incoming', 'elsewhere-1.12.1.aa'), 'half')
  await openFilesBlobStore(root, { clock })
  expect(await readdir(join(root, 'incoming'))).toHaveLength(1)
  clock.advance(25 * 3_600_000)
  await openFilesBlobStore(root, { clock })
  expect(await readdir(join(root, 'incoming'))).toEqual([])
})

test('put() of what exists makes it young again', async () => {
  const clock = manualClock(1_000_000_000_000)
  const store = await openFilesBlobStore(await makeRoot(), { clock })
  const { digest } = await store.put(Buffer.from('x'))
  clock.set(2_000_000_000_000)
  await store.put(Buffer.from('x'))
  expect((await store.stat(digest))?.storedAtMs).toBe(2_000_000_000_000)
})
