import { expect, test } from 'vitest'
import { silentLog } from '../kernel/log.ts'
import type { Running } from './attempt.ts'
import { openSlots } from './slots.ts'
import type { ClaimedStep, Wanted } from './store.ts'

/** Slots in front of work without end, whose steps end when a test says so. */
function openBench(count: number) {
  const ends = new Map<bigint, () => void>()
  let newest = 100n
  let rings = 0
  const claim = ({ limit }: Wanted) => Array.from({ length: limit }, () => ({ fence: ++newest }) as ClaimedStep) // nothing else of it is read
  const signal = new AbortController().signal
  const slots = openSlots({ count, signal, log: silentLog, onFree: () => rings++ })
  const work = ({ step }: Running) => new Promise<void>((resolve) => ends.set(step.fence, resolve))
  const hold = (fence: bigint) => slots.hold({ fence } as ClaimedStep, work)
  const replace = slots.replace((step) => slots.hold(step, work))
  /** The transaction that ends an attempt, and claims. */
  const commit = (fence: bigint) => replace([fence], async (wanted) => ({ held: [true], claimed: claim(wanted) }))
  return {
    slots,
    hold,
    rings: () => rings,
    replace,
    commit,
    /** As the scheduler does it: the transaction that ends the attempt claims, then the attempt is over. */
    async end(fence: bigint) {
      await commit(fence)
      ends.get(fence)!()
      await new Promise(setImmediate)
    },
  }
}

test('replace() fills the slot of an attempt that ends, and the free ones', async () => {
  const bench = openBench(3)
  bench.hold(1n)
  await bench.end(1n)
  expect([...bench.slots.running.keys()]).toEqual([101n, 102n, 103n])
  expect(bench.rings()).toBe(0) // all that was ready has been claimed, or the slots are full
})

test('replace() fills no slot beyond the count, when more were taken over than there are', async () => {
  const bench = openBench(2)
  for (let fence = 1n; fence <= 6n; fence++) bench.hold(fence)
  for (let fence = 1n; fence <= 4n; fence++) await bench.end(fence)
  expect([...bench.slots.running.keys()]).toEqual([5n, 6n])
  await bench.end(5n)
  expect([...bench.slots.running.keys()]).toEqual([6n, 101n])
})

test('an attempt that ends without a replacement frees its slot with a ring', async () => {
  const bench = openBench(1)
  bench.slots.hold({ fence: 1n } as ClaimedStep, async () => {})
  await new Promise(setImmediate)
  expect([bench.slots.free(), bench.rings()]).toEqual([1, 1])
})

test('replace() fills the slot of an attempt whose end commits before the one before it is over', async () => {
  const bench = openBench(2)
  bench.hold(1n)
  bench.hold(2n)
  await bench.commit(1n)
  await bench.commit(2n)
  expect([...bench.slots.running.keys()]).toEqual([1n, 2n, 101n, 102n])
  expect(bench.slots.free()).toBe(0)
})

test('an end that claims less than it may beside another rings: what the other had locked may be left', async () => {
  const bench = openBench(2)
  bench.hold(1n)
  bench.hold(2n)
  const none = async () => ({ held: [true], claimed: [] })
  await bench.replace([1n], none)
  expect(bench.rings()).toBe(0)
  await Promise.all([bench.replace([1n], none), bench.replace([2n], none)])
  expect(bench.rings()).toBe(2)
})
