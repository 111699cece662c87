import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CodeBundle } from '@plimsoll/sdk/wire'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Digest, digestBytes, digestTree } from '../kernel/digest.ts'
import { openTestApi } from '../kernel/http/http.fixture.ts'
import { type Engine, openEngine, outPath, shell } from './engine.fixture.ts'
import { pipelineEndpoints, readStep } from './index.ts'
import { readLog } from './log.ts'
import type { Bundles } from './tables.ts'

/** Stands in for a Python whose installer fails. */
const PYTHON = `#!/bin/sh
case "$3" in
  venv) mkdir -p "$4/bin" && cp "$0" "$4/bin/python" ;;
  pip) echo 'Looking for x==1'; echo 'ERROR: x==1 is broken' >&2; exit 1 ;;
  *) echo '[[3, 12, 0], "cpython", "linux-x86_64", "'"$0"'"]' ;;
esac
`
const pythonFrom = mkdtempSync(join(tmpdir(), 'plimsoll-python-'))
let engine: Engine
beforeAll(async () => {
  writeFileSync(join(pythonFrom, 'python3'), PYTHON, { mode: 0o700 })
  engine = await openEngine({ pythonFrom })
})
afterAll(async () => {
  await engine.close()
  rmSync(pythonFrom, { recursive: true })
})

async function runOnce(steps: Parameters<Engine['declare']>[0], name: string, bundles: Bundles = {}) {
  return engine.ended(await engine.start(await engine.declare(steps, { name, bundles })))
}

test('a cached dataset whose file in place is gone is made again', async () => {
  const path = join(engine.directory, 'rows.csv')
  const file = { location: path, digest: digestBytes(Buffer.from('n\n1\n')), sizeBytes: 4, rows: 1 }
  const manifest = JSON.stringify({ format: 'csv', schema: {}, files: [file] })
  const script = `printf 'n\\n1\\n' > ${path}; printf '%s' '${manifest}' > ${outPath('rows')}/manifest.json`
  const steps = [shell('make', script, { outputs: { rows: 'dataset' } })]
  const once = async () => (await runOnce(steps, 'in-place')).graph[0]
  expect([(await once())?.state, (await once())?.state]).toEqual(['succeeded', 'cached'])
  rmSync(path)
  expect(await once()).toMatchObject({ state: 'succeeded', cache: { hit: false, reason: 'outputs-missing' } })
  expect((await once())?.state).toBe('cached')
})

async function bundleOf(files: Readonly<Record<string, string>>): Promise<CodeBundle> {
  const stored = []
  for (const [path, text] of Object.entries(files)) {
    const { digest, sizeBytes } = await engine.blobs.put(Buffer.from(text))
    stored.push({ path, digest: digest as Digest, sizeBytes, executable: false }) // as it was stored
  }
  return { digest: digestTree(stored), files: stored }
}

test('a step whose environment cannot be made has what the installer said as its log', async () => {
  const step = { ...shell('fit', ''), kind: 'python', params: { script: 'a.py', lock: 'a.lock' } }
  const run = await runOnce([step], 'no-environment', { fit: await bundleOf({ 'a.py': '', 'a.lock': 'x==1' }) })
  expect(run.graph[0]).toMatchObject({ state: 'failed', reason: expect.stringContaining('ERROR: x==1 is broken') })
  const { bytes } = await readLog(engine.ctx, { blobs: engine.blobs, secrets: engine.secrets }, run.id, 'fit', 0)
  expect(bytes.toString()).toBe('Looking for x==1\nERROR: x==1 is broken\n')
  expect((await readStep(engine.ctx, run.id, 'fit')).tries.at(-1)?.logBytes).toBe(bytes.length)
})

test('a step whose script is not among its files fails before it starts, naming both', async () => {
  const step = { ...shell('fit', ''), kind: 'typescript', params: { script: 'a.mjs' } }
  const run = await runOnce([step], 'no-script', { fit: await bundleOf({ 'b.mjs': '' }) })
  expect(run.graph[0]).toMatchObject({
    state: 'failed',
    reason: expect.stringContaining('Cannot start step fit: its script "a.mjs" is not among its files'),
  })
})

test('step debug says why a step has no files here, and of a cached one which step has them', async () => {
  const { blobs, ctx, secrets } = engine
  const api = openTestApi(pipelineEndpoints({ blobs, kinds: new Map(), secrets, onStarted: () => {} }), () => ctx)
  const adviceOn = async (run: string, step: string) =>
    (await api.call('GET', `/api/v1/runs/${run}/steps/${step}/debug`)).json.action
  const secret = shell('secret', 'true', { secrets: { PASSWORD: 'absent' } })
  const failed = await runOnce([secret, shell('after', 'true', { after: ['secret'] })], 'no-secret')
  expect(await adviceOn(failed.id, 'secret')).toMatch(/^It failed before its program was started: .*absent/)
  expect(await adviceOn(failed.id, 'after')).toBe('It has not been started: a step that it needs has failed')
  const [first, second] = [await runOnce([shell('a', 'true')], 'once'), await runOnce([shell('a', 'true')], 'once')]
  expect(await adviceOn(second.id, 'a')).toBe(
    `It came from the cache. See what made it: plimsoll step debug ${first.id}/a`,
  )
  rmSync(join(engine.directory, 'runs', first.id), { recursive: true })
  expect(await adviceOn(first.id, 'a')).toMatch(/^They are removed after a while/)
  await api.close()
})

test('what a step says of its progress right before its end is kept', async () => {
  const said = JSON.stringify({ t: 'progress', fraction: 1, message: 'AUC 0.787' })
  const run = await runOnce([shell('fit', `printf '%s\\n' '${said}' > "$(dirname "$PLIMSOLL_STEP")/events"`)], 'says')
  expect(run.graph[0]).toMatchObject({ state: 'succeeded', progress: { fraction: 1, message: 'AUC 0.787' } })
})
