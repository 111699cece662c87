import { expect, test } from 'vitest'
import { askInTime } from '../../examples/flight-delay/src/pace.ts'

const MINUTE_MS = 60_000
const RATE = 3_600

/** Flights that leave once a minute of the replay, and a machine that takes `tookMinutes` of it for one. */
async function replay({ wanted, tookMinutes, isBusy = () => false }: Scene) {
  let nowMs = 0
  const clock = { rate: RATE, nowMs: () => nowMs }
  const lateMinutes: number[] = []
  async function* flights() {
    for (let minute = 1; minute <= 1_000; minute++) yield { departsAtMs: minute * MINUTE_MS }
  }
  const found = await askInTime(
    flights(),
    async ({ departsAtMs }) => {
      const lateMs = nowMs - departsAtMs
      await Promise.resolve()
      nowMs += tookMinutes * MINUTE_MS
      if (isBusy(departsAtMs / MINUTE_MS)) return false
      lateMinutes.push(lateMs / MINUTE_MS)
      return true
    },
    {
      clock,
      wanted,
      atOnce: 1,
      lateMsMax: 10 * MINUTE_MS,
      pause: async (ms) => {
        nowMs += ms * RATE
      },
    },
  )
  return { ...found, lateMinutes }
}

interface Scene {
  readonly wanted: number
  readonly tookMinutes: number
  readonly isBusy?: (minute: number) => boolean
}

test('askInTime() asks each flight at its departure where the machine keeps up', async () => {
  const { asked, leftOut, lateMinutes } = await replay({ wanted: 100, tookMinutes: 0.5 })
  expect([asked, leftOut]).toEqual([100, 0])
  expect(Math.max(...lateMinutes)).toBeCloseTo(0, 6)
})

test('askInTime() asks fewer of an hour and no flight too late where the machine does not keep up', async () => {
  const { asked, leftOut, lateMinutes } = await replay({ wanted: 100, tookMinutes: 4 })
  expect(asked).toBe(100)
  expect(leftOut).toBeGreaterThan(250)
  expect(Math.max(...lateMinutes)).toBeLessThanOrEqual(10)
  expect(Math.min(...lateMinutes)).toBeGreaterThanOrEqual(-1e-6)
})

test('askInTime() takes another flight for one that was given up, and ends with the flights', async () => {
  const busy = await replay({ wanted: 100, tookMinutes: 0.5, isBusy: (minute) => minute % 2 === 0 })
  expect([busy.asked, busy.leftOut]).toEqual([100, 99])
  const all = await replay({ wanted: 5_000, tookMinutes: 0.5 })
  expect([all.asked, all.leftOut]).toEqual([1_000, 0])
})
