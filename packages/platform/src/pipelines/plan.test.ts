import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { CodeBundle, PipelineStep } from '@plimsoll/sdk/wire'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { type Digest, digestTree, type TreeEntry } from '../kernel/digest.ts'
import { PlimsollError } from '../kernel/errors.ts'
import type { StepKind } from '../kernel/step-kind.ts'
import { type Engine, openEngine, outPath, shell } from './engine.fixture.ts'
import { readRun } from './index.ts'

/** Enters what a step made under the commit that it was made from, as a registration does. */
const ENTER: StepKind = {
  kind: 'enter',
  outputs: {},
  params: z.unknown(),
  cacheable: true,
  bindsProvenance: true,
  commit: async (_, { run }) => run,
}
/** Cannot be planned before its param is among what has come. */
const come = new Set<string>()
const AWAIT: StepKind = {
  kind: 'await',
  outputs: {},
  params: z.unknown(),
  cacheable: false,
  resolve: async (_, { params }) => {
    const { what } = z.object({ what: z.string() }).parse(params)
    if (what === 'a fault') throw new Error('connection string: secret')
    if (!come.has(what)) throw new PlimsollError('unavailable', 'test.awaited', `There is no ${what} yet`)
    return null
  },
  commit: async () => null,
}
const NO_PYTHON = '#!/bin/sh\nexit 1\n'
const PYTHON = `#!/bin/sh
case "$1" in
  -u) . "$2" ;;
  *) echo '[[3, 12, 0], "cpython", "linux-x86_64", "'"$0"'"]' ;;
esac
`
const pythonFrom = mkdtempSync(join(tmpdir(), 'plimsoll-python-'))
/** All names under which Python is looked for, so that none of the machine is found. */
const pythons = ['', '3', '3.14', '3.13', '3.12', '3.11', '3.10'].map((minor) => join(pythonFrom, `python${minor}`))
let engine: Engine
beforeAll(async () => {
  for (const python of pythons) writeFileSync(python, NO_PYTHON, { mode: 0o700 })
  engine = await openEngine({ kinds: [ENTER, AWAIT], pythonFrom })
})
afterAll(async () => {
  await engine.close()
  rmSync(pythonFrom, { recursive: true })
})

test('a run without its Python says why it waits, holds up no other, and goes on by itself when there is one', async () => {
  const { digest, sizeBytes } = await engine.blobs.put(Buffer.from(`printf made > ../${outPath('file')}`))
  const files: CodeBundle['files'] = [{ path: 'fit.py', digest: digest as Digest, sizeBytes, executable: false }]
  const bundles = { fit: { digest: digestTree(files as TreeEntry[]), files } }
  const fit = shell('fit', '', { kind: 'python', params: { script: 'fit.py' }, outputs: { file: 'file' } })
  const fitting = await engine.declare([fit], { bundles })
  const run = await engine.start(fitting)
  await engine.until(async () => (await readRun(engine.ctx, run)).reason !== null)
  const waiting = await readRun(engine.ctx, run)
  expect(waiting).toMatchObject({ state: 'queued', reason: expect.stringMatching(/no Python 3.10 .* Install Python/) })
  expect(waiting.graph[0]).toMatchObject({ state: 'blocked', reason: waiting.reason })
  for (let others = 0; others < 16; others++) await engine.start(fitting)
  const needsNone = await engine.declare([shell('say', 'true')], { name: 'saying' })
  expect((await engine.ended(await engine.start(needsNone))).state).toBe('succeeded')
  writeFileSync(pythons[0]!, PYTHON)
  expect(await engine.ended(run)).toMatchObject({ state: 'succeeded', reason: null })
})

test('runs that wait take turns, however many there are', async () => {
  const awaiting = async (what: string) =>
    engine.declare([{ ...shell('wait', ''), kind: 'await', params: { what } }], { name: `for-${what}` })
  const never = await awaiting('never')
  const others: string[] = []
  for (let count = 0; count < 20; count++) others.push(await engine.start(never))
  const later = await engine.start(await awaiting('later'))
  await engine.until(async () => (await readRun(engine.ctx, later)).reason === 'There is no later yet')
  come.add('later')
  expect((await engine.ended(later)).state).toBe('succeeded')
  come.add('never')
  for (const run of others) await engine.ended(run)
})

test('a fault of ours that keeps a run from its plan is told in the log, not to whoever looks at the run', async () => {
  const steps = [{ ...shell('wait', ''), kind: 'await', params: { what: 'a fault' } }]
  const run = await engine.ended(await engine.start(await engine.declare(steps, { name: 'faulty' })))
  expect(run).toMatchObject({
    state: 'failed',
    reason: 'The control plane met a fault of its own, which its log tells',
  })
})

test('what was entered from a clean tree is taken for one with changes elsewhere, and never the other way round', async () => {
  const CLEAN = { source: 'test', commit: 'c0ffee', isDirty: false }
  const DIRTY = { ...CLEAN, isDirty: true }
  const once = async (origin: typeof CLEAN, code: string) => {
    const steps: PipelineStep[] = [
      shell('fit', `printf made > ${outPath('file')} # ${code}`, { outputs: { file: 'file' } }),
      {
        ...shell('enter', ''),
        kind: 'enter',
        params: {},
        inputs: { file: { from: 'step', step: 'fit', output: 'file', allowFailed: false } },
      },
    ]
    const run = await engine.ended(await engine.start(await engine.declare(steps, { name: 'entering', origin })))
    const { cache, state } = run.graph[1]!
    expect(run.state).toBe('succeeded')
    return {
      run: run.id,
      seen: [state, cache!.reason, ...cache!.diff.map(({ name }) => name)],
      from: cache!.source?.run,
    }
  }
  const clean = await once(CLEAN, 'one')
  expect(clean.seen).toEqual(['succeeded', 'first-run'])
  expect(await once(DIRTY, 'one')).toMatchObject({ seen: ['cached', 'hit'], from: clean.run })
  expect((await once(DIRTY, 'two')).seen).toEqual(['succeeded', 'env-changed', 'commit', 'making of file'])
  const again = await once(DIRTY, 'two')
  expect(again.seen).toEqual(['cached', 'hit'])
  expect(await once(CLEAN, 'two')).toMatchObject({ seen: ['succeeded', 'env-changed', 'commit'], from: again.from })
})

test('an entry of a release in which the kind of a step left less is no hit', async () => {
  const steps = [{ ...shell('enter', ''), kind: 'enter', params: { of: 'less' } }]
  const once = async () =>
    (await engine.ended(await engine.start(await engine.declare(steps, { name: 'upgraded' })))).graph[0]!
  expect([(await once()).state, (await once()).state]).toEqual(['succeeded', 'cached'])
  const kinds = engine.deps.kinds as Map<string, StepKind> // of this engine alone
  const launcher = join(mkdtempSync(join(tmpdir(), 'plimsoll-launcher-')), 'launcher.mjs')
  writeFileSync(
    launcher,
    `import { readFileSync, writeFileSync } from 'node:fs'
    const { outputs } = JSON.parse(readFileSync(process.env.PLIMSOLL_STEP, 'utf8'))
    writeFileSync(outputs.model.path, 'm')`,
  )
  Object.assign(engine.deps, { launcher }) // of this engine alone
  const more: StepKind = { ...ENTER, outputs: { model: 'file' }, command: async () => {} }
  kinds.set('enter', more)
  expect(await once()).toMatchObject({ state: 'succeeded', cache: { hit: false, reason: 'outputs-missing' } })
  expect(await once()).toMatchObject({ state: 'cached', outputs: [{ name: 'model' }] })
  kinds.set('enter', ENTER)
  rmSync(dirname(launcher), { recursive: true })
})
