import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { StepExecutor, StepExit } from '@plimsoll/sdk/seams'
import { afterEach, expect, test } from 'vitest'
import { processesOf } from '../adapters/local-process/process-table.ts'
import { realClock } from '../kernel/clock.ts'
import { databaseClock, shiftedDatabaseClock, type Tx } from '../kernel/db/index.ts'
import type { Digest } from '../kernel/digest.ts'
import { NOT_STARTED } from './attempt-end.ts'
import { type Engine, openEngine, outPath, shell } from './engine.fixture.ts'
import { finishAttempts } from './finish.ts'
import { succeededAttempt } from './finished-attempt.fixture.ts'
import { readStep } from './index.ts'
import { type ClaimedStep, claimingSteps, takeOver } from './store.ts'

/** Leases are renewed once a second. */
const RENEWED_MS = 1_300

/** An executor that answers at once, and whose attempts run until a test ends them. */
function openHeldExecutor() {
  const attempts = new Map<string, { exit: Promise<StepExit>; end: (exit: StepExit) => void }>()
  const cancelled: string[] = []
  const executor: StepExecutor = {
    name: 'held',
    submit: async ({ attempt }) => {
      const { promise, resolve } = Promise.withResolvers<StepExit>()
      attempts.set(attempt, { exit: promise, end: resolve })
      return { handle: attempt }
    },
    find: async () => undefined,
    wait: (handle) => attempts.get(handle)!.exit,
    cancel: async (handle) => {
      cancelled.push(handle)
    },
    close: async () => {},
  }
  return { executor, cancelled, attempts: () => [...attempts.values()] }
}

let engine: Engine
afterEach(() => engine.close())

test('a step that is claimed while leases are renewed is not taken for one whose lease is lost', async () => {
  const held = openHeldExecutor()
  engine = await openEngine({ slots: 1, executor: () => held.executor })
  const digest = await engine.declare([shell('a', 'true'), shell('b', 'echo b', { after: ['a'] })])
  const run = await engine.start(digest)
  await engine.until(async () => held.attempts().length === 1)
  // The database is busy: first the end of `a` waits for it, which claims `b`, then the renewal, which knows `a` only.
  await engine.ctx.transaction(async (tx) => {
    await tx.db.selectFrom('pipeline_run').select('id').execute()
    held.attempts()[0]!.end({ state: 'exited', exitCode: 0 })
    await realClock.sleep(RENEWED_MS)
  })
  await engine.until(async () => held.attempts().length === 2)
  await realClock.sleep(RENEWED_MS)
  expect(held.cancelled).toEqual([])
  held.attempts()[1]!.end({ state: 'exited', exitCode: 0 })
  expect((await engine.ended(run)).state).toBe('succeeded')
})

test('what another held is taken over once its lease has run out, and waits for its next try, by the clock that is bound', async () => {
  const time = shiftedDatabaseClock()
  time.advance(3_600_000)
  // Without a slot it claims nothing itself.
  engine = await openEngine({ slots: 0, executor: () => openHeldExecutor().executor, databaseClock: time.clock })
  const run = await engine.start(await engine.declare([shell('a', 'true')]))
  const step = () =>
    engine.ctx.db
      .selectFrom('step')
      .select(['state', 'eligible_at', 'started_at'])
      .where('run', '=', run)
      .executeTakeFirst()
  await engine.until(async () => (await step())?.state === 'ready')
  const claimant = { owner: 'another', runsDir: engine.deps.runsDir, clock: time.clock }
  await claimingSteps(claimant, { limit: 1, running: new Map() }).execute(engine.ctx.db)
  const { started_at } = (await step())!
  time.advance(31_000)
  await engine.until(async () => (await step())?.state === 'ready') // nobody can find its attempt
  expect((await step())!.eligible_at.getTime() - started_at!.getTime()).toBeGreaterThanOrEqual(31_000)
})

/** As another worker takes a step that it finds no program of: it ends that attempt and holds the next one. */
async function takeAway(tx: Tx): Promise<ClaimedStep> {
  const another = { owner: 'another', runsDir: engine.deps.runsDir, clock: databaseClock }
  const [lost] = await takeOver(tx, another, false)
  const wanted = claimingSteps(another, { limit: 1, running: new Map() })
  const ended = { ...succeededAttempt(lost!), end: NOT_STARTED }
  return (await finishAttempts(tx, engine.blobs, [ended], wanted, databaseClock)).claimed[0]!
}

test.each([
  ['still runs', 'while [ -e log ]; do sleep 0.1; done'],
  ['ends well', 'until [ -e go ] || [ ! -e log ]; do sleep 0.02; done'],
])(
  'a worker that lost its lease has no program left, and its outputs are not used where that %s',
  async (how, rest) => {
    engine = await openEngine({ slots: 1 })
    const script = `printf first > ${outPath('file')}; ${rest}`
    const digest = await engine.declare([shell('a', script, { outputs: { file: 'file' }, cache: false })])
    const run = await engine.start(digest)
    const workDir = async () =>
      (await engine.ctx.db.selectFrom('attempt').select('work_dir').where('run', '=', run).execute())[0]?.work_dir
    await engine.until(async () => existsSync(join((await workDir()) ?? '/', outPath('file'))))
    const directory = (await workDir())!
    const isGone = async () => processesOf(new Set([directory])).length === 0
    // The database is busy, so that the first worker hears of its loss after its program has ended well.
    const held = await engine.ctx.transaction(async (tx) => {
      const claimed = await takeAway(tx)
      if (how === 'ends well') {
        writeFileSync(join(directory, 'go'), '')
        await engine.until(isGone)
      }
      return claimed
    })
    await engine.until(isGone)
    // The only slot is free again when the first worker is done with its attempt.
    expect((await engine.ended(await engine.start(await engine.declare([shell('b', 'true')])))).state).toBe('succeeded')
    expect(await readStep(engine.ctx, run, 'a')).toMatchObject({
      state: 'running',
      outputs: [],
      tries: [
        { state: 'lost', number: 1 },
        { state: 'running', number: 2 },
      ],
    })
    const stored = await engine.blobs.put(Buffer.from('second'))
    const output = { name: 'file', type: 'file' as const, ...stored, digest: stored.digest as Digest } // of our form
    const second = { ...succeededAttempt(held), outputs: { file: output } }
    const none = claimingSteps(
      { owner: 'another', runsDir: engine.deps.runsDir, clock: databaseClock },
      { limit: 0, running: new Map() },
    )
    await finishAttempts(engine.ctx, engine.blobs, [second], none, databaseClock)
    expect((await engine.ended(run)).state).toBe('succeeded')
    expect((await readStep(engine.ctx, run, 'a')).outputs).toMatchObject([{ digest: stored.digest }])
  },
)
