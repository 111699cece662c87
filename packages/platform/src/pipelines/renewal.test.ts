import type { StepExecutor, StepExit } from '@plimsoll/sdk/seams'
import { afterEach, expect, test } from 'vitest'
import { realClock } from '../kernel/clock.ts'
import { shiftedDatabaseClock } from '../kernel/db/index.ts'
import { type Engine, openEngine, shell } from './engine.fixture.ts'
import { claimingSteps } from './store.ts'

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
