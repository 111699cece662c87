import { expect, test } from 'vitest'
import { isThorough } from '../../../../tests/servers.ts'
import { simulate } from './run-simulation.fixture.ts'

const SCHEDULES = isThorough ? 100_000 : 25_000
const TWICE_EVERY = 1_000

function logOf(seed: number): string[] {
  const events: string[] = []
  simulate(seed, (event) => events.push(event))
  return events
}

test('whatever dies, stalls, or is lost, doubled or late, a step is committed once and every run ends', () => {
  for (let seed = 0; seed < SCHEDULES; seed++) {
    simulate(seed)
    if (seed % TWICE_EVERY === 0) expect(logOf(seed)).toEqual(logOf(seed))
  }
})
