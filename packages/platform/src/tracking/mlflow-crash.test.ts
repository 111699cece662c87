import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { layDatabase } from '../kernel/db/database-template.fixture.ts'

const KILLS = 2
const WRITERS = 3

let directory: string
let server: { child: ChildProcess; url: string } | undefined
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'plimsoll-crash-'))
  await layDatabase(join(directory, 'database'), { isMigrated: true })
})
afterAll(async () => {
  server?.child.kill('SIGKILL')
  await rm(directory, { recursive: true, force: true })
})

async function start() {
  const entry = new URL('./surface-process.fixture.ts', import.meta.url).pathname
  const child = spawn(process.execPath, [entry, '--directory', directory], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  return { child, url: line.toString().trim() }
}

const post = async (url: string, path: string, body: object) => {
  const response = await fetch(`${url}/api/2.0/mlflow${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  if (response.status !== 200) throw new Error(`${path} answered ${response.status}`)
  return response.json() as Promise<{ run: { info: { run_id: string } } }>
}

test('SIGKILL between and in requests loses nothing that was acknowledged, and no batch is half there', {
  timeout: 300_000,
}, async () => {
  server = await start()
  const run = (await post(server.url, '/runs/create', { experiment_id: '0' })).run.info.run_id
  const acknowledged = new Set<number>()
  let next = 0
  for (let kill = 0; kill < KILLS; kill++) {
    const { child, url } = server
    const before = acknowledged.size
    const write = async () => {
      for (;;) {
        const batch = next++
        const metrics = Array.from({ length: 20 }, (_, i) => ({
          key: 'm',
          value: i,
          timestamp: 1,
          step: batch * 100 + i,
        }))
        try {
          await post(url, '/runs/log-batch', { run_id: run, metrics, params: [{ key: `p${batch}`, value: 'v' }] })
        } catch {
          return // the server is gone: what was in flight counts for nothing
        }
        acknowledged.add(batch)
        if (acknowledged.size >= before + 8 + kill * 5) child.kill('SIGKILL')
      }
    }
    await Promise.all(Array.from({ length: WRITERS }, write))
    server = await start()
  }
  const read = async (path: string) =>
    (await fetch(`${server!.url}/api/2.0/mlflow${path}`)).json() as Promise<Record<string, never>>
  const { metrics } = (await read(`/metrics/get-history?run_id=${run}&metric_key=m`)) as unknown as {
    metrics: { step: number }[]
  }
  const counts = Map.groupBy(metrics, (metric) => Math.floor(metric.step / 100))
  expect([...acknowledged].filter((batch) => !counts.has(batch))).toEqual([])
  expect([...counts.values()].every((points) => points.length === 20)).toBe(true)
  const { data } = (
    (await read(`/runs/get?run_id=${run}`)) as unknown as { run: { data: { params: { key: string }[] } } }
  ).run
  expect(data.params.map((param) => param.key).toSorted()).toEqual(
    [...counts.keys()].map((batch) => `p${batch}`).toSorted(),
  )
})
