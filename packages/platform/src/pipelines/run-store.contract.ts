import assert from 'node:assert/strict'
import { LOST, NOT_STARTED } from './attempt-end.ts'
import { failed, SUCCESS } from './attempt-ends.fixture.ts'
import type { Held, Report, RunStore, StepPlan } from './run-store.fixture.ts'
import { INFRA_RETRIES_MAX } from './transition.ts'

/** One case of what the SQL and its twin must hold; `store` is empty. */
export interface RunStoreCase {
  readonly name: string
  run(store: RunStore): Promise<void>
}

const LEASE_MS = 30_000

const FAILURE = failed('user_error', 1)
const KILL = failed('killed', 137)

const NONE = { limit: 0, running: new Map<string, number>() }
const upTo = (limit: number, running: readonly (readonly [string, number])[] = []) => ({
  limit,
  running: new Map(running),
})

function step(key: string, needs: readonly string[] = [], retries = 0): StepPlan {
  return { key, needs, retries }
}

async function planned(store: RunStore, ...steps: readonly StepPlan[]): Promise<string> {
  const run = await store.add(steps)
  await store.plan(run)
  return run
}

async function finish(store: RunStore, attempt: Held, end: Report['end']): Promise<boolean> {
  const { held } = await store.finish('ada', [{ attempt, end }], NONE)
  return held[0]!
}

/** The one step that can be claimed. */
async function claimOne(store: RunStore, owner = 'ada'): Promise<Held> {
  const claimed = await store.claim(owner, upTo(9))
  assert.equal(claimed.length, 1)
  return claimed[0]!
}

/** In the order of their keys: a claim gives them in any. */
async function claimAll(store: RunStore, limit = 9): Promise<Held[]> {
  return (await store.claim('ada', upTo(limit))).toSorted((a, b) => (a.key < b.key ? -1 : 1))
}

/** What is seen of a run or of a step: its state, and what stands behind. */
async function seen(store: RunStore, ...subject: readonly string[]): Promise<string> {
  const start = `${subject.join(' ')} `
  const line = (await store.read()).find((one) => one.startsWith(start))
  assert.ok(line !== undefined, `nothing is seen of ${start}`)
  return line.slice(start.length)
}

/** States of the steps of a run, by their keys in order. */
async function states(store: RunStore, run: string): Promise<string[]> {
  const steps = (await store.read()).filter((line) => line.startsWith(`${run} `) && line.includes(': waits for '))
  return steps.map((line) => line.split(/[ :]/)[2]!)
}

async function triesOf(store: RunStore, run: string, key: string): Promise<string[]> {
  const start = `${run} ${key} #`
  return (await store.read()).filter((line) => line.startsWith(start)).map((line) => line.slice(start.length))
}

async function refusesChange(store: RunStore, work: () => Promise<boolean>): Promise<void> {
  const before = await store.read()
  assert.equal(await work(), false)
  assert.deepEqual(await store.read(), before)
}

const keysOf = (attempts: readonly Held[]) => attempts.map(({ run, key }) => `${run} ${key}`).sort()

const FENCES: RunStoreCase[] = [
  {
    name: 'of two attempts of one step the former is superseded, and changes nothing else',
    run: async (store) => {
      const run = await planned(store, step('a', [], 2), step('b', ['a']))
      const former = await claimOne(store)
      const [latter] = await store.supersede(former)
      const before = await store.read()
      for (const end of [SUCCESS, FAILURE]) assert.equal(await finish(store, former, end), false)
      assert.deepEqual(
        await store.read(),
        before.map((line) => (line === `${run} a #1 running` ? `${run} a #1 superseded` : line)),
      )
      assert.equal(await finish(store, latter!, SUCCESS), true)
      assert.deepEqual(await states(store, run), ['succeeded', 'ready'])
    },
  },
  {
    name: 'the second end of an attempt changes nothing, whatever it says',
    run: async (store) => {
      await planned(store, step('a', [], 1), step('b', ['a']))
      const first = await claimOne(store)
      assert.equal(await finish(store, first, FAILURE), true)
      for (const end of [SUCCESS, FAILURE, LOST]) await refusesChange(store, () => finish(store, first, end))
      store.advance(1_000)
      const second = await claimOne(store)
      await refusesChange(store, () => finish(store, first, SUCCESS))
      assert.equal(await finish(store, second, SUCCESS), true)
      for (const attempt of [first, second]) {
        await refusesChange(store, () => finish(store, attempt, FAILURE))
        await refusesChange(store, () => finish(store, attempt, SUCCESS))
      }
    },
  },
  {
    name: 'a step that the cache knew uses no attempt, and a former holder adopts nothing and removes nothing',
    run: async (store) => {
      const run = await planned(store, step('a'), step('b', ['a']))
      const former = await claimOne(store)
      await finish(store, former, NOT_STARTED)
      await refusesChange(store, async () => (await store.adopt([former]))[0]!)
      const latter = await claimOne(store)
      await refusesChange(store, async () => (await store.adopt([former]))[0]!)
      assert.deepEqual(await store.adopt([former, latter]), [false, true])
      assert.deepEqual(await states(store, run), ['cached', 'ready'])
      assert.deepEqual(await triesOf(store, run, 'a'), ['1 lost'])
      for (const attempt of [former, latter]) {
        await refusesChange(store, () => finish(store, attempt, SUCCESS))
        await refusesChange(store, async () => (await store.adopt([attempt]))[0]!)
      }
    },
  },
]

const GRAPHS: RunStoreCase[] = [
  {
    name: 'the join of a diamond is ready once, also when both branches end in one transaction',
    run: async (store) => {
      const run = await planned(store, step('a'), step('b', ['a']), step('c', ['a']), step('d', ['b', 'c']))
      const first = await claimOne(store)
      const { claimed } = await store.finish('ada', [{ attempt: first, end: SUCCESS }], upTo(9))
      assert.deepEqual(keysOf(claimed), [`${run} b`, `${run} c`])
      const reports = claimed.map((attempt) => ({ attempt, end: SUCCESS }))
      const join = await store.finish('ada', reports, upTo(9))
      assert.deepEqual(join.held, [true, true])
      assert.deepEqual(keysOf(join.claimed), [`${run} d`])
      assert.match(await seen(store, run, 'd'), /^running: waits for 0, 0 failed, 0\+0 used/)
      assert.equal(await finish(store, join.claimed[0]!, SUCCESS), true)
      assert.equal(await seen(store, run), 'succeeded: 0 open, 0 failed')
    },
  },
  {
    name: 'the join waits for its other branch, and fails with the first that fails',
    run: async (store) => {
      const run = await planned(store, step('a'), step('b'), step('c', ['a', 'b']), step('d', ['c']), step('e', ['b']))
      const [a, b] = await claimAll(store)
      await finish(store, a!, SUCCESS)
      assert.deepEqual(await states(store, run), ['succeeded', 'running', 'blocked', 'blocked', 'blocked'])
      await finish(store, b!, FAILURE)
      assert.deepEqual(await states(store, run), [
        'succeeded',
        'failed',
        'upstream_failed',
        'upstream_failed',
        'upstream_failed',
      ])
      assert.equal(await seen(store, run), 'failed: 0 open, 4 failed')
    },
  },
  {
    name: 'a failure at the head of a chain ends all of it and the run, in one transaction; other branches go on',
    run: async (store) => {
      const chain = Array.from({ length: 40 }, (_, at) => step(`s${at}`, at === 0 ? [] : [`s${at - 1}`]))
      const run = await planned(store, ...chain)
      await finish(store, await claimOne(store), FAILURE)
      const [head, ...rest] = await states(store, run)
      assert.deepEqual([head, new Set(rest), rest.length], ['failed', new Set(['upstream_failed']), 39])
      assert.equal(await seen(store, run), 'failed: 0 open, 40 failed')
      const other = await planned(store, step('a'), step('b', ['a']), step('x'), step('y', ['x']))
      const [a, x] = await claimAll(store)
      await finish(store, a!, FAILURE)
      assert.equal(await seen(store, other), 'running: 2 open, 2 failed')
      const { claimed } = await store.finish('ada', [{ attempt: x!, end: SUCCESS }], upTo(9))
      await finish(store, claimed[0]!, SUCCESS)
      assert.equal(await seen(store, other), 'failed: 0 open, 2 failed')
    },
  },
]

const LEASES: RunStoreCase[] = [
  {
    name: 'a step is taken over once its lease has run out, not before, and goes on with its attempt',
    run: async (store) => {
      const run = await planned(store, step('a'))
      const attempt = await claimOne(store)
      store.advance(LEASE_MS)
      assert.deepEqual(await store.takeOver('bob', true), [])
      store.advance(1)
      const taken = await store.takeOver('bob', true)
      assert.deepEqual([keysOf(taken), taken[0]!.fence], [[`${run} a`], attempt.fence])
      assert.deepEqual(await store.takeOver('eve', true), [])
      assert.deepEqual(await triesOf(store, run, 'a'), ['1 running'])
    },
  },
  {
    name: 'who starts anew takes over all that runs, and nothing else',
    run: async (store) => {
      const run = await planned(store, step('a'), step('b'), step('c', ['a']), step('d'))
      const claimed = await store.claim('ada', upTo(3))
      await finish(store, claimed.find(({ key }) => key === 'd')!, SUCCESS)
      assert.deepEqual(keysOf(await store.takeOver('bob', false)), [`${run} a`, `${run} b`])
    },
  },
  {
    name: 'a lease that is renewed does not run out; one that another has taken is not renewed',
    run: async (store) => {
      await planned(store, step('a'))
      const attempt = await claimOne(store)
      for (let at = 0; at < 3; at++) {
        store.advance(LEASE_MS - 1)
        assert.deepEqual(await store.renew('ada', [attempt]), new Map([[attempt.fence, false]]))
      }
      store.advance(LEASE_MS)
      assert.deepEqual(await store.takeOver('bob', true), [])
      store.advance(1)
      assert.equal((await store.takeOver('bob', true)).length, 1)
      const before = await store.read()
      assert.deepEqual(await store.renew('ada', [attempt]), new Map())
      assert.deepEqual(await store.read(), before)
      await finish(store, attempt, SUCCESS)
      assert.deepEqual(await store.renew('bob', [attempt]), new Map())
    },
  },
]

const RETRIES: RunStoreCase[] = [
  {
    name: 'a retry starts not before its delay, which doubles, and never beyond the budget of the step',
    run: async (store) => {
      const run = await planned(store, step('a', [], 2), step('b', ['a']))
      for (const delayMs of [1_000, 2_000]) {
        await finish(store, await claimOne(store), FAILURE)
        store.advance(delayMs - 1)
        assert.deepEqual(await store.claim('ada', upTo(9)), [])
        store.advance(1)
      }
      await finish(store, await claimOne(store), FAILURE)
      assert.deepEqual(await triesOf(store, run, 'a'), ['1 failed', '2 failed', '3 failed'])
      assert.equal(await seen(store, run, 'a'), 'failed: waits for 0, 0 failed, 2+0 used')
      assert.equal(await seen(store, run), 'failed: 0 open, 2 failed')
    },
  },
  {
    name: 'lost attempts cost the step nothing, up to their own budget; those that never started are free',
    run: async (store) => {
      const run = await planned(store, step('a', [], 1))
      for (let at = 0; at < INFRA_RETRIES_MAX; at++) {
        await finish(store, await claimOne(store), LOST)
        await finish(store, await claimOne(store), NOT_STARTED)
      }
      assert.match(
        await seen(store, run, 'a'),
        new RegExp(`^ready: waits for 0, 0 failed, 0\\+${INFRA_RETRIES_MAX} used`),
      )
      await finish(store, await claimOne(store), FAILURE)
      store.advance(1_000)
      await finish(store, await claimOne(store), LOST)
      assert.equal(await seen(store, run), 'failed: 0 open, 1 failed')
    },
  },
  {
    name: 'a kill from outside is tried again once',
    run: async (store) => {
      const run = await planned(store, step('a'))
      await finish(store, await claimOne(store), KILL)
      store.advance(1_000)
      await finish(store, await claimOne(store), KILL)
      assert.deepEqual(await triesOf(store, run, 'a'), ['1 failed', '2 failed'])
      assert.equal(await seen(store, run), 'failed: 0 open, 1 failed')
    },
  },
]

const CANCELLATIONS: RunStoreCase[] = [
  {
    name: 'a run that is cancelled before its plan or its first step ends at once',
    run: async (store) => {
      const queued = await store.add([step('a')])
      assert.equal(await store.cancel(queued), 'cancelled')
      await refusesChange(store, async () => {
        await store.plan(queued)
        return false
      })
      const run = await planned(store, step('a'), step('b', ['a']))
      assert.equal(await store.cancel(run), 'cancelled')
      assert.deepEqual(await states(store, run), ['cancelled', 'cancelled'])
      assert.deepEqual(await store.claim('ada', upTo(9)), [])
      await refusesChange(store, async () => (await store.cancel(run)) !== 'cancelled')
    },
  },
  {
    name: 'a run that is being cancelled lets a success stand, and nothing else; what waits is not started',
    run: async (store) => {
      const ends = [SUCCESS, FAILURE, LOST, NOT_STARTED, KILL]
      const run = await planned(store, ...ends.map((_, at) => step(`s${at}`, [], 3)), step('t', ['s0']), step('u'))
      const claimed = await claimAll(store, 5)
      assert.equal(await store.cancel(run), 'cancelling')
      assert.equal(await store.cancel(run), 'cancelling')
      assert.deepEqual(await store.renew('ada', claimed), new Map(claimed.map(({ fence }) => [fence, true])))
      for (const [at, end] of ends.entries()) {
        assert.match(await seen(store, run), /^cancelling/)
        assert.equal(await finish(store, claimed[at]!, end), true)
        assert.deepEqual(await store.claim('ada', upTo(9)), [])
      }
      const [success, ...rest] = await states(store, run)
      assert.deepEqual([success, new Set(rest)], ['succeeded', new Set(['cancelled'])])
      assert.match(await seen(store, run), /^cancelled: 0 open/)
      assert.deepEqual(await triesOf(store, run, 's1'), ['1 cancelled'])
    },
  },
]

const CLAIMS: RunStoreCase[] = [
  {
    name: 'of two runs the one with fewer running steps is served first, then both in turn',
    run: async (store) => {
      const keys = ['a', 'b', 'c', 'd', 'e', 'f']
      const wide = await planned(store, ...keys.map((key) => step(key)))
      await store.claim('ada', upTo(2))
      store.advance(5)
      const small = await planned(store, step('a'), step('b'), step('c'))
      const claimed = await store.claim('ada', upTo(4, [[wide, 2]]))
      assert.deepEqual(keysOf(claimed), [`${wide} c`, `${small} a`, `${small} b`, `${small} c`].sort())
    },
  },
  {
    name: 'no step is claimed twice, and no more than asked for',
    run: async (store) => {
      const run = await planned(store, step('a'), step('b'), step('c'))
      assert.deepEqual(keysOf(await store.claim('ada', upTo(2))), [`${run} a`, `${run} b`])
      assert.deepEqual(keysOf(await store.claim('bob', upTo(2))), [`${run} c`])
      assert.deepEqual(await store.claim('eve', upTo(2)), [])
    },
  },
]

export const RUN_STORE_CONTRACT: readonly RunStoreCase[] = [
  ...FENCES,
  ...GRAPHS,
  ...LEASES,
  ...RETRIES,
  ...CANCELLATIONS,
  ...CLAIMS,
]
