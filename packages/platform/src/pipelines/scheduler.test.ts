import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CodeBundle, PipelineStep } from '@plimsoll/sdk/wire'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { processesOf } from '../adapters/local-process/process-table.ts'
import { realClock } from '../kernel/clock.ts'
import { databaseClock } from '../kernel/db/index.ts'
import { type Digest, digestTree, type TreeEntry } from '../kernel/digest.ts'
import type { StepKind } from '../kernel/step-kind.ts'
import { type Engine, openEngine, outPath, shell } from './engine.fixture.ts'
import { cancelRun, readRun, readStep } from './index.ts'
import { readLog } from './log.ts'
import { planRun } from './plan.ts'
import { claimingSteps } from './store.ts'

const NOOP: StepKind = { kind: 'noop', outputs: {}, params: z.unknown(), cacheable: false }
/** Results of this kind that are there. */
const kept = new Set<string>()
const KEEP: StepKind = {
  kind: 'keep',
  outputs: {},
  params: z.unknown(),
  cacheable: true,
  commit: async (_, { run }) => {
    kept.add(run)
    return run
  },
  reuse: async (_, result) => kept.has(String(result)),
}
/** A file as a step of this kind finds it. */
let mtimeMs = 1
const LOOK: StepKind = {
  kind: 'look',
  outputs: {},
  params: z.unknown(),
  cacheable: true,
  resolve: async () => ({ note: 'x'.repeat(3_000), files: [{ path: '/data/a.csv', mtimeMs }] }),
}
/** A database that holds a lock for somebody else when the step is committed. */
let refusals = 0
const LOCKED: StepKind = {
  kind: 'locked',
  outputs: {},
  params: z.unknown(),
  cacheable: false,
  commit: async () => {
    refusals++
    throw Object.assign(new Error('canceling statement due to lock timeout'), { code: '55P03' })
  },
}
/** Stands in for Python: an environment is a copy of itself, and a script of it is one of the shell. */
const PYTHON = `#!/bin/sh
case "$1 $3" in
  "-u "*) . "$2" ;;
  *" venv") mkdir -p "$4/bin" && cp "$0" "$4/bin/python" ;;
  *" pip") ;;
  *) echo '[[3, 12, 0], "cpython", "linux-x86_64", "'"$0"'"]' ;;
esac
`
const pythonFrom = mkdtempSync(join(tmpdir(), 'plimsoll-python-'))
let engine: Engine
beforeAll(async () => {
  writeFileSync(join(pythonFrom, 'python3'), PYTHON, { mode: 0o700 })
  engine = await openEngine({ kinds: [NOOP, KEEP, LOOK, LOCKED], pythonFrom })
})
afterAll(async () => {
  await engine.close()
  rmSync(pythonFrom, { recursive: true })
})

/** True once the process of a step's newest attempt runs. */
async function isStarted(run: string, step: string): Promise<boolean> {
  if ((await attemptState(run, step)) !== 'running') return false
  const { fence } = (await readStep(engine.ctx, run, step)).tries[0]!
  return existsSync(join(engine.directory, 'runs', run, fence, 'handle.json'))
}

/** State of a step's newest attempt; undefined while the run is not planned. */
async function attemptState(run: string, step: string): Promise<string | undefined> {
  const planned = await engine.ctx.db.selectFrom('step').select('key').where('run', '=', run).execute()
  return planned.length === 0 ? undefined : (await readStep(engine.ctx, run, step)).tries[0]?.state
}

async function runOnce(
  steps: Parameters<Engine['declare']>[0],
  more: Parameters<Engine['start']>[1] & { name?: string } = {},
) {
  const digest = await engine.declare(steps, more.name === undefined ? {} : { name: more.name })
  return engine.ended(await engine.start(digest, more))
}

function stateOf(run: Awaited<ReturnType<Engine['ended']>>): Record<string, string> {
  return Object.fromEntries(run.graph.map((step) => [step.key, step.state]))
}

const claimingAs = (owner: string, limit: number) =>
  claimingSteps({ owner, runsDir: engine.deps.runsDir, clock: databaseClock }, { limit, running: new Map() })

test('a command step runs as a child process and its output becomes a blob', async () => {
  const run = await runOnce([
    shell('hello', `echo '{"n":1}' > ${outPath('result')}; echo said`, { outputs: { result: 'json' } }),
  ])
  expect(run.state).toBe('succeeded')
  const step = await readStep(engine.ctx, run.id, 'hello')
  expect(step).toMatchObject({ state: 'succeeded', outputs: [{ name: 'result', type: 'json', sizeBytes: 8 }] })
  expect(await engine.blobs.stat(step.outputs[0]!.digest)).toBeDefined()
  expect(step.tries).toMatchObject([{ state: 'succeeded', exitCode: 0, logBytes: 5 }])
})

test('a second run of equal steps comes from the cache, and a changed argument names itself', async () => {
  const make = (text: string) => [
    shell('make', `printf ${text} > ${outPath('file')}`, { outputs: { file: 'file' } }),
    shell('use', `cat in/file/file 2>/dev/null; printf used > ${outPath('file')}`, {
      inputs: { file: { from: 'step', step: 'make', output: 'file' } },
      outputs: { file: 'file' },
    }),
  ]
  const first = await runOnce(make('a'), { name: 'cached' })
  expect(first.graph.map((step) => step.cache?.reason)).toEqual(['first-run', 'first-run'])
  const second = await runOnce(make('a'), { name: 'cached' })
  expect(second.state).toBe('succeeded')
  expect(stateOf(second)).toEqual({ make: 'cached', use: 'cached' })
  expect(second.graph[0]!.cache?.source).toEqual({ run: first.id, step: 'make' })
  const third = await runOnce(make('b'), { name: 'cached' })
  expect(third.graph.map((step) => step.cache?.reason)).toEqual(['param-changed', 'input-changed'])
  expect(third.graph[1]!.cache?.diff).toMatchObject([{ part: 'input', name: 'file' }])
})

test('a step of Python runs again for other code or another lock, and not for other resources', async () => {
  const once = async (change: { code?: string; lock?: string; resources?: PipelineStep['resources'] } = {}) => {
    const files: CodeBundle['files'] = []
    const { code = '', lock = '', resources = { cpu: 1 } } = change
    for (const [path, text] of Object.entries({
      'fit.py': `printf made > ../out/file # ${code}`,
      'x.lock': `# ${lock}`,
    })) {
      const { digest, sizeBytes } = await engine.blobs.put(Buffer.from(text))
      files.push({ path, digest: digest as Digest, sizeBytes, executable: false })
    }
    const bundles = { fit: { digest: digestTree(files as TreeEntry[]), files } }
    const params = { script: 'fit.py', lock: 'x.lock' }
    const step = shell('fit', '', { kind: 'python', params, outputs: { file: 'file' }, resources })
    const run = await engine.ended(await engine.start(await engine.declare([step], { name: 'python', bundles })))
    const { state, cache } = run.graph[0]!
    return [state, cache!.reason, cache!.diff.map(({ part, name }) => `${part} ${name}`)]
  }
  expect(await once()).toEqual(['succeeded', 'first-run', []])
  expect(await once({ resources: { cpu: 2, memoryBytes: 1 << 30 } })).toEqual(['cached', 'hit', []])
  expect(await once({ code: 'another' })).toEqual(['succeeded', 'code-changed', ['code fit.py']])
  expect(await once({ code: 'another', lock: 'another' })).toEqual(['succeeded', 'env-changed', ['env lock']])
  expect(await once()).toEqual(['cached', 'hit', []])
})

test('a step says which file changed, also where another pipeline had made what it took from the cache', async () => {
  const look = { ...shell('look', ''), kind: 'look', params: {} }
  const noop = { ...shell('first', ''), kind: 'noop', params: {} }
  const pipelines = { planned: [look], behind: [noop, { ...look, after: ['first'] }] }
  const maker = await runOnce([look], { name: 'maker' })
  for (const [name, steps] of Object.entries(pipelines)) {
    const once = async () => (await runOnce(steps, { name })).graph.find((step) => step.key === 'look')!
    expect((await once()).cache).toMatchObject({ reason: 'hit', source: { run: maker.id } })
    mtimeMs = 2
    expect((await once()).cache).toMatchObject({
      reason: 'input-changed',
      source: { run: maker.id, step: 'look' },
      diff: [{ part: 'input', name: 'files[/data/a.csv].mtimeMs', old: '1', new: '2' }],
    })
    mtimeMs = 1
    await engine.ctx.db.deleteFrom('cache_entry').where('pipeline', '=', name).execute()
  }
})

test('a miss is told by what ran with the same params, also where others ran after it', async () => {
  const look = { ...shell('look', ''), kind: 'look', params: {} }
  const noop = { ...shell('first', ''), kind: 'noop', params: {} }
  for (const [name, before] of Object.entries({ planned: [], behind: [noop] })) {
    const once = async (params: PipelineStep['params']) =>
      (
        await runOnce([...before, { ...look, params: { ...params, name }, after: before.map(({ key }) => key) }], {
          name,
        })
      ).graph.at(-1)!.cache
    const first = await runOnce([...before, { ...look, params: { name }, after: before.map(({ key }) => key) }], {
      name,
    })
    expect(await once({ reference: 1 })).toMatchObject({ reason: 'param-changed' })
    mtimeMs = 2
    expect(await once({})).toMatchObject({
      reason: 'input-changed',
      source: { run: first.id },
      diff: [{ name: 'files[/data/a.csv].mtimeMs' }],
    })
    mtimeMs = 1
  }
})

test('a forced step with equal output bytes lets its descendants hit', async () => {
  const steps = [
    shell('fit', `printf same > ${outPath('file')}`, { outputs: { file: 'file' } }),
    shell('use', `printf used > ${outPath('file')}`, {
      inputs: { file: { from: 'step', step: 'fit', output: 'file' } },
      outputs: { file: 'file' },
    }),
  ]
  await runOnce(steps, { name: 'forced' })
  const again = await runOnce(steps, { name: 'forced', options: { force: ['fit'] } })
  expect(stateOf(again)).toEqual({ fit: 'succeeded', use: 'cached' })
  const all = await runOnce(steps, { name: 'forced', options: { forceFrom: ['fit'] } })
  expect(stateOf(all)).toEqual({ fit: 'succeeded', use: 'succeeded' })
  const none = await runOnce(steps, { name: 'forced', options: { cache: false } })
  expect(none.graph.map((step) => step.cache?.reason)).toEqual(['disabled', 'disabled'])
})

test('a key that gave two outputs is tainted and no longer hits', async () => {
  const steps = [
    shell('chance', `cat /proc/sys/kernel/random/uuid > ${outPath('file')}`, { outputs: { file: 'file' } }),
  ]
  await runOnce(steps, { name: 'tainted' })
  await runOnce(steps, { name: 'tainted', options: { force: ['chance'] } })
  const third = await runOnce(steps, { name: 'tainted' })
  expect(third.graph[0]).toMatchObject({ state: 'succeeded', cache: { hit: false, reason: 'tainted' } })
  expect((await engine.database.events()).some((event) => event.type === 'pipelines.cache_nondeterministic')).toBe(true)
})

test('a cached output that is gone is made again', async () => {
  const steps = [shell('make', `printf gone > ${outPath('file')}`, { outputs: { file: 'file' } })]
  const first = await runOnce(steps, { name: 'collected' })
  await engine.blobs.delete(first.graph[0]!.outputs[0]!.digest)
  const second = await runOnce(steps, { name: 'collected' })
  expect(second.graph[0]).toMatchObject({ state: 'succeeded', cache: { reason: 'outputs-missing' } })
})

test('a cached step whose commit was undone since runs again, at the start of a run and behind other steps', async () => {
  const keep = { ...shell('keep', ''), kind: 'keep', params: { where: 'alone' } }
  const noop = { ...shell('first', ''), kind: 'noop', params: {} }
  const behind = [noop, { ...keep, params: { where: 'behind' }, after: ['first'] }]
  for (const [name, steps] of Object.entries({ alone: [keep], behind })) {
    const once = async () => (await runOnce(steps, { name })).graph.find((step) => step.key === 'keep')!
    expect((await once()).cache?.reason).toBe('first-run')
    expect((await once()).state).toBe('cached')
    kept.clear()
    expect(await once()).toMatchObject({ state: 'succeeded', cache: { hit: false, reason: 'result-gone' } })
    expect((await once()).state).toBe('cached')
  }
})

test('a failed step fails the run, its dependents are upstream_failed, independent branches go on', async () => {
  const run = await runOnce(
    [
      shell('bad', 'echo oh no >&2; exit 3'),
      shell('after', 'true', { after: ['bad'] }),
      shell('later', 'true', { after: ['after'] }),
      shell('apart', 'true'),
    ],
    { options: { cache: false } },
  )
  expect(run.state).toBe('failed')
  expect(stateOf(run)).toEqual({
    bad: 'failed',
    after: 'upstream_failed',
    later: 'upstream_failed',
    apart: 'succeeded',
  })
  expect(run.graph[0]!.reason).toContain('exit code 3')
  expect(run.graph[0]!.reason).toContain('oh no')
})

test('what a step writes may hold zero bytes and halves of characters, and its progress shows while it runs', async () => {
  const event = String.raw`{"t":"progress","fraction":0.5,"message":"a\u0000b\ud800"}`
  const write = `printf '%s\\n' '${event}' >> events; until [ -e seen ] || [ ! -e events ]; do sleep 0.05; done; printf 'a\\000b' >&2; exit 3`
  const run = await engine.start(await engine.declare([shell('bad', write)]), { options: { cache: false } })
  const progress = { fraction: 0.5, message: 'a\ufffdb\ufffd' }
  await expect
    .poll(async () => (await readRun(engine.ctx, run)).graph[0]!.progress, { timeout: 20_000 })
    .toEqual(progress)
  const { tries, ...step } = await readStep(engine.ctx, run, 'bad')
  expect(step).toMatchObject({ state: 'running', progress })
  writeFileSync(join(engine.directory, 'runs', run, tries[0]!.fence, 'seen'), '')
  expect(await engine.ended(run)).toMatchObject({
    state: 'failed',
    graph: [{ state: 'failed', reason: expect.stringContaining('a\ufffdb') }],
  })
})

test('of a long log the beginning and the end are kept, with what fell out between them', async () => {
  const run = await runOnce([shell('chatty', 'seq 1 40000')])
  const { tries } = await readStep(engine.ctx, run.id, 'chatty')
  const text = (await readLog(engine.ctx, engine, run.id, 'chatty', 0)).bytes.toString()
  const all = Array.from({ length: 40_000 }, (_, index) => `${index + 1}\n`).join('')
  const [head, left, tail] = text.split('…')
  expect(all.startsWith(head!.slice(0, -1))).toBe(true)
  expect(all.endsWith(tail!.slice(1))).toBe(true)
  expect(head!.length - 1 + tail!.length - 1).toBe(64 << 10)
  expect(left).toBe(` ${all.length - (64 << 10)} bytes left out `)
  expect(tries[0]!.logBytes).toBe(Buffer.byteLength(text))
  // The whole of it is not kept beside that.
  const whole = join(engine.directory, 'runs', run.id, tries[0]!.fence, 'log')
  await engine.until(async () => !existsSync(whole))
})

test('outputs beyond the limit fail the step, and none of them is stored', async () => {
  const write = `head -c 700000 /dev/zero > ${outPath('one')}; mkdir -p ${outPath('more')}; head -c 700000 /dev/zero > ${outPath('more')}/part`
  const run = await runOnce([shell('large', write, { outputs: { one: 'file', more: 'directory' } })])
  const step = await readStep(engine.ctx, run.id, 'large')
  expect(step).toMatchObject({ state: 'failed', outputs: [], tries: [{ failureClass: 'output_too_large' }] })
  expect(step.reason).toBe(
    'Step large ended well, but its outputs are 1400000 bytes, more than the 1048576 that a step may hand on. Hand on less, or raise steps.outputLimitBytes',
  )
  const one = createHash('sha256').update(Buffer.alloc(700_000)).digest('hex')
  expect(await engine.blobs.stat(`sha256:${one}`)).toBeUndefined()
})

test('the join of a diamond is ready once', async () => {
  const run = await runOnce(
    [
      shell('a', 'true'),
      shell('b', 'true', { after: ['a'] }),
      shell('c', 'true', { after: ['a'] }),
      shell('d', 'true', { after: ['b', 'c'] }),
    ],
    { options: { cache: false } },
  )
  expect(run.state).toBe('succeeded')
  expect((await readStep(engine.ctx, run.id, 'd')).tries).toHaveLength(1)
})

test('a step is tried again within its budget, finds its checkpoint, then its output counts', async () => {
  const checkpoint = `checkpoint=$(sed -n 's/.*"checkpoint_dir": *"\\([^"]*\\)".*/\\1/p' "$PLIMSOLL_STEP")`
  const either = `cp "$checkpoint/half" ${outPath('file')} || { mkdir "$checkpoint"; printf ok > "$checkpoint/half"; exit 1; }`
  const run = await runOnce([shell('flaky', `${checkpoint}; ${either}`, { retries: 1, outputs: { file: 'file' } })])
  const step = await readStep(engine.ctx, run.id, 'flaky')
  expect(step.tries.map((attempt) => attempt.state).sort()).toEqual(['failed', 'succeeded'])
  expect(run.state).toBe('succeeded')
})

test.each([
  ['is not written', 'true', 'is not there'],
  ['is a link', `ln -s /etc/passwd ${outPath('file')}`, 'is no regular file'],
])('an output that %s fails the step', async (_name, script, reason) => {
  const run = await runOnce([shell('bad', script, { outputs: { file: 'file' } })])
  expect(run.graph[0]).toMatchObject({ state: 'failed', outputs: [] })
  expect(run.graph[0]!.reason).toContain(reason)
  expect((await readStep(engine.ctx, run.id, 'bad')).tries[0]!.failureClass).toBe('output_missing')
})

test('a program that does not exist fails the step with its name', async () => {
  const run = await runOnce([shell('none', '', { params: { argv: ['/no/such/program'] } })])
  expect(run.graph[0]!.reason).toContain('/no/such/program')
})

test('a timeout ends the step', async () => {
  const run = await runOnce([shell('slow', 'sleep 60', { timeoutMs: 300 })])
  expect(run.graph[0]!.reason).toContain('timeout')
})

test('cancelRun() ends what runs, also children that left the group, and repeats for free', async () => {
  const digest = await engine.declare([
    shell('long', 'setsid sleep 1000 & sleep 1000'),
    shell('next', 'true', { after: ['long'] }),
  ])
  const run = await engine.start(digest)
  await engine.until(() => isStarted(run, 'long'))
  const { fence } = (await readStep(engine.ctx, run, 'long')).tries[0]!
  expect(await engine.ctx.transaction((tx) => cancelRun(tx, run))).toBe('cancelling')
  engine.scheduler.wake()
  const ended = await engine.ended(run)
  expect(ended.state).toBe('cancelled')
  expect(stateOf(ended)).toEqual({ long: 'cancelled', next: 'cancelled' })
  await engine.until(async () => processesOf(new Set([join(engine.directory, 'runs', run, fence)])).length === 0)
  expect(await engine.ctx.transaction((tx) => cancelRun(tx, run))).toBe('cancelled')
})

test('a restarted scheduler adopts a running step: one attempt, its log complete', async () => {
  const digest = await engine.declare(
    [shell('long', `echo one; sleep 1; echo two; printf done > ${outPath('file')}`, { outputs: { file: 'file' } })],
    { name: 'adopted' },
  )
  const run = await engine.start(digest)
  await engine.until(() => isStarted(run, 'long'))
  await engine.restart()
  expect((await engine.ended(run)).state).toBe('succeeded')
  expect((await readStep(engine.ctx, run, 'long')).tries).toMatchObject([{ state: 'succeeded', logBytes: 8 }])
})

test('one idempotency key gives one run, and refuses another request', async () => {
  const digest = await engine.declare([shell('a', 'true')], { params: { n: { type: 'int', default: 1 } } })
  const first = await engine.start(digest, { idempotencyKey: 'k1' })
  expect(await engine.start(digest, { idempotencyKey: 'k1' })).toBe(first)
  await expect(engine.start(digest, { idempotencyKey: 'k1', params: { n: 2 } })).rejects.toMatchObject({
    code: 'pipelines.idempotency_key_reused',
  })
})

test('steps without a command need no process', async () => {
  const noop = (key: string, after: string[]) => ({ ...shell(key, ''), kind: 'noop', params: {}, after })
  const run = await runOnce([noop('a', []), noop('b', ['a'])])
  expect(run.state).toBe('succeeded')
})

test('a small run ends long before a wide one that came first', async () => {
  const noop = (key: string, after: string[] = []) => ({ ...shell(key, ''), kind: 'noop', params: {}, after })
  const wide = await engine.declare(
    Array.from({ length: 200 }, (_, index) => noop(`w${index}`)),
    { name: 'wide' },
  )
  const small = await engine.declare([noop('a'), noop('b', ['a']), noop('c', ['b'])], { name: 'small' })
  const wideRun = await engine.start(wide)
  const smallRun = await engine.start(small)
  await engine.ended(smallRun)
  const left = await engine.ctx.db
    .selectFrom('pipeline_run')
    .select('open')
    .where('id', '=', wideRun)
    .executeTakeFirstOrThrow()
  expect(left.open).toBeGreaterThan(120)
  expect((await engine.ended(wideRun)).state).toBe('succeeded')
})

test('an attempt whose lease ran out is followed again, not run twice', async () => {
  const digest = await engine.declare([shell('long', 'echo once; sleep 1.5')], { name: 'leases' })
  const run = await engine.start(digest, { options: { cache: false } })
  await engine.until(() => isStarted(run, 'long'))
  // Its owner would end what it has lost, if it looked just then.
  await engine.scheduler.close()
  await engine.ctx.db
    .updateTable('step')
    .set({ lease_owner: 'another', lease_expires_at: new Date(0) })
    .where('run', '=', run)
    .execute()
  await engine.restart()
  expect((await engine.ended(run)).state).toBe('succeeded')
  expect((await readStep(engine.ctx, run, 'long')).tries).toMatchObject([{ state: 'succeeded', logBytes: 5 }])
})

test('an attempt that nobody can find never started: it is tried again at once and costs no budget', async () => {
  const digest = await engine.declare([shell('short', 'true')], { name: 'lost' })
  await engine.scheduler.close()
  const run = await engine.start(digest, { options: { cache: false } })
  await engine.restart()
  await engine.ended(run)
  // As after a death between the claim and the start: a claimed step, an attempt, and no process.
  await engine.scheduler.close()
  const again = await engine.start(digest, { options: { cache: false } })
  await planRun(
    engine.ctx,
    { ...engine.deps, python: async () => ({ version: '', platform: '' }) },
    await engine.ctx.db.selectFrom('pipeline_run').selectAll().where('id', '=', again).executeTakeFirstOrThrow(),
  )
  expect((await claimingAs('dead', 10).execute(engine.ctx.db)).rows).toHaveLength(1)
  await engine.restart()
  expect((await engine.ended(again)).state).toBe('succeeded')
  const step = await readStep(engine.ctx, again, 'short')
  expect(step.tries).toMatchObject([
    { number: 1, state: 'lost', failureClass: 'not_started' },
    { number: 2, state: 'succeeded' },
  ])
  const spent = engine.ctx.db.selectFrom('step').select(['attempts_used', 'infra_used']).where('run', '=', again)
  expect(await spent.executeTakeFirst()).toEqual({ attempts_used: 0, infra_used: 0 })
})

test('a commit that the database refuses for now is no failure of the step', async () => {
  const digest = await engine.declare([{ ...shell('held', ''), kind: 'locked', params: {} }], { name: 'locked' })
  const run = await engine.start(digest)
  await engine.until(async () => refusals > 0)
  await realClock.sleep(200)
  expect(await attemptState(run, 'held')).toBe('running') // its lease runs out, then it is followed again
  await engine.ctx.transaction((tx) => cancelRun(tx, run))
})

test('a step that only waits takes what the cache has when its turn comes', async () => {
  const same = (key: string, after: string[]) => shell(key, 'echo same', { after })
  const run = await runOnce([same('a', []), same('b', ['a']), same('c', ['b'])], { name: 'alike' })
  expect(run.graph.map(({ key, state }) => `${key} ${state}`)).toEqual(['a succeeded', 'b cached', 'c cached'])
})

test('a step that is killed from outside is tried again once', async () => {
  const digest = await engine.declare([shell('victim', 'kill -9 $$')], { name: 'killed' })
  const run = await engine.start(digest, { options: { cache: false } })
  expect((await engine.ended(run)).state).toBe('failed')
  const { tries } = await readStep(engine.ctx, run, 'victim')
  expect(tries).toMatchObject([{ failureClass: 'killed' }, { failureClass: 'killed', number: 2 }])
})

test('pipes and folders that a step puts in place of our files hold up nothing, neither its end nor its cancellation', async () => {
  const replaced = 'cd "$PLIMSOLL_WORK_DIR"; rm log events; mkfifo events; mkdir log'
  const run = await runOnce([shell('left', `${replaced}; exit 3`)], { name: 'replaced' })
  expect((await readStep(engine.ctx, run.id, 'left')).reason).toBe('The step ended with exit code 3')
  expect((await readLog(engine.ctx, engine, run.id, 'left', 0)).bytes.toString()).toBe('')
  // Whoever looks for the end of this one finds a pipe.
  const orphan = shell('orphan', `${replaced}; mkfifo exit; kill -9 $PPID; sleep 1000`)
  const orphaned = await runOnce([orphan], { name: 'orphaned' })
  expect(orphaned.state).toBe('failed')
  const going = await engine.start(await engine.declare([shell('go', `${replaced}; sleep 1000`)], { name: 'going' }))
  await engine.until(() => isStarted(going, 'go'))
  const { fence } = (await readStep(engine.ctx, going, 'go')).tries[0]!
  const events = join(engine.directory, 'runs', going, fence, 'events')
  await expect.poll(() => existsSync(events), { timeout: 20_000 }).toBe(true)
  await engine.restart()
  await engine.ctx.transaction((tx) => cancelRun(tx, going))
  expect((await engine.ended(going)).state).toBe('cancelled')
  expect((await runOnce([shell('after', 'true')], { name: 'after' })).state).toBe('succeeded')
})

test('a step with an argument that no system takes fails for good, for what it is', async () => {
  const run = await runOnce([shell('large', `: ${'x'.repeat(2 << 20)}`, { retries: 3 })], { name: 'large' })
  const { tries, reason } = await readStep(engine.ctx, run.id, 'large')
  expect(tries).toMatchObject([{ state: 'failed', failureClass: 'config' }])
  expect(reason).toMatch(/^Cannot start the step: the system takes no arguments and variables of so many bytes/)
})
