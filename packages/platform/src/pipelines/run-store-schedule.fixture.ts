import assert from 'node:assert/strict'
import fc from 'fast-check'
import { LOST, NOT_STARTED } from './attempt-end.ts'
import { CANCELLED, failed, SUCCESS } from './attempt-ends.fixture.ts'
import type { Held, RunStore, StepPlan } from './run-store.fixture.ts'
import type { AttemptEnd } from './transition.ts'

/** How attempts end; as many successes as let a run come to its end. */
const ENDS: readonly AttemptEnd[] = [
  ...Array.from({ length: 12 }, () => SUCCESS),
  failed('user_error', 1),
  failed('user_error', 1),
  failed('user_error', 75),
  failed('user_error', 78),
  failed('timeout'),
  failed('config'),
  failed('killed', 137),
  failed('disk_full'),
  failed('lost'),
  LOST,
  NOT_STARTED,
  CANCELLED,
]

const STEPS_MAX = 8
const RUNS_MAX = 3
const OWNERS = ['ada', 'bob'] as const
/** Around the lease, around the delays of retries, and beyond all of them. */
const LEAPS_MS = [1, 999, 1_000, 2_000, 29_999, 30_000, 30_001, 600_000]

/** A graph out of bits: of each number, those below its place say which steps before it the step needs. */
function stepsOf(bits: readonly number[]): StepPlan[] {
  const key = (at: number) => String.fromCharCode('a'.charCodeAt(0) + at)
  return bits.map((number, at) => ({
    key: key(at),
    needs: bits.flatMap((_, need) => (need < at && (number >> need) & 1 ? [key(need)] : [])),
    retries: (number >> STEPS_MAX) % 3,
  }))
}

const owner = fc.constantFrom(...OWNERS)
const pick = fc.nat({ max: 99 })
const end = fc.nat({ max: ENDS.length - 1 })
/** Running steps of each run, as a scheduler counts them. */
const running = fc.array(fc.nat({ max: 3 }), { maxLength: RUNS_MAX })
/** Sparse, so that there is something to do at once: of two numbers the bits that they share. */
const bits = fc
  .tuple(fc.nat({ max: 2 ** (STEPS_MAX + 2) - 1 }), fc.nat({ max: 2 ** STEPS_MAX - 1 }))
  .map(([all, some]) => all & (some | (3 << STEPS_MAX)))

const move = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('add' as const),
      steps: fc.array(bits, { minLength: 1, maxLength: STEPS_MAX }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('plan' as const), run: pick }) },
  {
    weight: 12,
    arbitrary: fc.record({ do: fc.constant('claim' as const), owner, limit: fc.integer({ min: 1, max: 5 }), running }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('renew' as const),
      owner,
      which: fc.array(pick, { minLength: 1, maxLength: 6 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('takeOver' as const), owner, isOnlyExpired: fc.boolean() }) },
  {
    weight: 26,
    arbitrary: fc.record({
      do: fc.constant('finish' as const),
      owner,
      ends: fc.array(fc.record({ which: pick, end }), { minLength: 1, maxLength: 3 }),
      limit: fc.nat({ max: 3 }),
      running,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('adopt' as const), which: fc.array(pick, { minLength: 1, maxLength: 2 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('cancel' as const), run: pick }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('supersede' as const), which: pick }) },
  { weight: 7, arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.constantFrom(...LEAPS_MS) }) },
)
type Move = typeof move extends fc.Arbitrary<infer T> ? T : never

/** Begins with a run or two, so that no schedule has nothing to do; without a bias towards short ones, which come to nothing. */
export const schedule = fc.noBias(
  fc
    .tuple(
      fc.array(fc.array(bits, { minLength: 3, maxLength: STEPS_MAX }), { minLength: 1, maxLength: 2 }),
      fc.array(move, { minLength: 1, maxLength: 60, size: 'max' }),
    )
    .map(([graphs, moves]): Move[] => [
      ...graphs.flatMap((steps, run): Move[] => [
        { do: 'add', steps },
        { do: 'plan', run },
      ]),
      ...moves,
    ]),
)

/** An attempt as each of the stores knows it. */
type Pair = readonly [Held, Held]

const nameOf = ({ run, key }: Held) => `${run} ${key}`

/** Makes the same moves on two stores: what each answers, and what is seen after it, must be equal. */
export async function compareStores(stores: readonly [RunStore, RunStore], moves: readonly Move[]): Promise<void> {
  const runs: string[] = []
  const attempts: Pair[] = []
  /** By the second store's fence, the first one's. */
  const fences = new Map<bigint, bigint>()

  const both = async <T>(work: (store: RunStore, side: 0 | 1) => T | Promise<T>): Promise<[T, T]> => [
    await work(stores[0], 0),
    await work(stores[1], 1),
  ]
  const agree = async <T>(work: (store: RunStore, side: 0 | 1) => T | Promise<T>): Promise<T> => {
    const [ours, theirs] = await both(work)
    assert.deepEqual(theirs, ours)
    return ours
  }
  const keep = ([ours, theirs]: readonly [readonly Held[], readonly Held[]]) => {
    const inOrder = (held: readonly Held[]) => held.toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1))
    const [one, other] = [inOrder(ours), inOrder(theirs)]
    assert.deepEqual(other.map(nameOf), one.map(nameOf))
    for (const [at, held] of one.entries()) {
      const { fence } = other[at]!
      if (!fences.has(fence)) attempts.push([held, other[at]!])
      else assert.equal(fences.get(fence), held.fence)
      fences.set(fence, held.fence)
    }
  }
  /** Of the newest ones, each once. */
  const chosen = (which: readonly number[]) => [
    ...new Set(attempts.length === 0 ? [] : which.map((at) => attempts.at(-1 - (at % Math.min(attempts.length, 12)))!)),
  ]
  const wanted = (limit: number, counts: readonly number[]) => ({
    limit,
    running: new Map(counts.slice(0, runs.length).map((count, at) => [runs[at]!, count])),
  })

  const make = async (one: Move): Promise<void> => {
    if (one.do === 'add') {
      if (runs.length < RUNS_MAX) runs.push(await agree((store) => store.add(stepsOf(one.steps))))
    } else if (one.do === 'plan') await agree((store) => store.plan(runs[one.run % runs.length]!))
    else if (one.do === 'claim') keep(await both((store) => store.claim(one.owner, wanted(one.limit, one.running))))
    else if (one.do === 'takeOver') keep(await both((store) => store.takeOver(one.owner, one.isOnlyExpired)))
    else if (one.do === 'cancel') await agree((store) => store.cancel(runs[one.run % runs.length]!))
    else if (one.do === 'advance') await agree((store) => store.advance(one.ms))
    else if (one.do === 'finish') {
      const pairs = chosen(one.ends.map(({ which }) => which))
      if (pairs.length === 0) return
      const [ours, theirs] = await both((store, side) =>
        store.finish(
          one.owner,
          pairs.map((pair, at) => ({ attempt: pair[side], end: ENDS[one.ends[at]!.end]! })),
          wanted(one.limit, one.running),
        ),
      )
      assert.deepEqual(theirs.held, ours.held)
      keep([ours.claimed, theirs.claimed])
    } else if (one.do === 'supersede') {
      for (const pair of chosen([one.which])) keep(await both((store, side) => store.supersede(pair[side])))
    } else {
      const pairs = chosen(one.which)
      const of = (side: 0 | 1) => pairs.map((pair) => pair[side])
      if (pairs.length === 0) return
      if (one.do === 'adopt') await agree((store, side) => store.adopt(of(side)))
      else {
        const [ours, theirs] = await both((store, side) => store.renew(one.owner, of(side)))
        assert.deepEqual(new Map([...theirs].map(([fence, isCancelling]) => [fences.get(fence), isCancelling])), ours)
      }
    }
  }
  for (const [at, one] of moves.entries()) {
    try {
      await make(one)
      await agree((store) => store.read())
    } catch (error) {
      throw new Error(`Move ${at}, ${JSON.stringify(one)}: ${(error as Error).message}`, { cause: error })
    }
  }
}
