import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'

const CHUNK_BYTES = 1 << 20
const CHUNKS = 256
const CHUNKS_WARMING = 64
const GROWTH_MAX_BYTES = 64 << 20

let directory: string
let server: ChildProcess
let url: string
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'plimsoll-upload-'))
  const entry = new URL('./surface-process.fixture.ts', import.meta.url).pathname
  const child = spawn(process.execPath, [entry, '--directory', directory], { stdio: ['ignore', 'pipe', 'inherit'] })
  server = child
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  url = line.toString().trim()
})
afterAll(async () => {
  server.kill('SIGKILL')
  await rm(directory, { recursive: true, force: true })
})

/** Most bytes that the server held at one time since it was last asked to forget. */
function peakBytes(): number {
  return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))![1]) << 10
}

/** Sets the peak to what is held now. */
function forgetPeak(): void {
  writeFileSync(`/proc/${server.pid}/clear_refs`, '5')
}

async function* chunks(count = CHUNKS) {
  for (let i = 0; i < count; i++) yield Buffer.alloc(CHUNK_BYTES, i)
}

async function digestOf(content: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of content) hash.update(chunk)
  return hash.digest('hex')
}

test.skipIf(!existsSync('/proc/self/clear_refs'))(
  'a large artifact goes in and out while the server grows by less than 64 MiB',
  { timeout: 120_000 },
  async () => {
    const created = await fetch(`${url}/api/2.0/mlflow/runs/create`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"experiment_id":"0"}',
    })
    const { run } = (await created.json()) as { run: { info: { run_id: string } } }
    const path = (name: string) => `${url}/api/2.0/mlflow-artifacts/artifacts/0/${run.info.run_id}/artifacts/${name}`
    const put = (name: string, body: unknown) =>
      fetch(path(name), { method: 'PUT', body, duplex: 'half' } as RequestInit)
    // what a first upload loads and warms does not grow with its size
    expect((await put('small', chunks(CHUNKS_WARMING))).status).toBe(200)
    await digestOf((await fetch(path('small'))).body!)
    forgetPeak()
    const before = peakBytes()
    expect((await put('large', chunks())).status).toBe(200)
    const uploaded = peakBytes() - before
    const read = await digestOf((await fetch(path('large'))).body!)
    const downloaded = peakBytes() - before
    expect(read).toBe(await digestOf(chunks()))
    expect(uploaded).toBeLessThan(GROWTH_MAX_BYTES)
    expect(downloaded).toBeLessThan(GROWTH_MAX_BYTES)
    const listed = await fetch(`${url}/api/2.0/mlflow/artifacts/list?run_id=${run.info.run_id}`)
    expect(((await listed.json()) as { files: unknown[] }).files).toContainEqual({
      path: 'large',
      is_dir: false,
      file_size: CHUNKS * CHUNK_BYTES,
    })
  },
)
