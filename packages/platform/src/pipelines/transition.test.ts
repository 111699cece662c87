import { expect, test } from 'vitest'
import { endOf } from './attempt-end.ts'
import { failed } from './attempt-ends.fixture.ts'
import { INFRA_RETRIES_MAX, nextOfBlocked, nextOfRun, nextOfStep, retryDelayMs } from './transition.ts'

const fresh = { retries: 0, attemptsUsed: 0, infraUsed: 0 }

test('retryDelayMs() doubles up to its cap', () => {
  expect([1, 2, 3, 4].map(retryDelayMs)).toEqual([1_000, 2_000, 4_000, 8_000])
  expect(retryDelayMs(40)).toBe(300_000)
})

test.each([
  ['a user error without budget fails', failed('user_error', 1), fresh, { state: 'failed' }],
  [
    'a user error within its budget is tried again later',
    failed('user_error', 1),
    { ...fresh, retries: 2, attemptsUsed: 1 },
    { state: 'ready', budget: 'user', delayMs: 2_000 },
  ],
  [
    'a lost attempt is tried again at once, outside the budget of the user',
    { outcome: 'lost', failureClass: 'lost', exitCode: undefined } as const,
    fresh,
    { state: 'ready', budget: 'infra', delayMs: 0 },
  ],
  ['lost attempts end too', failed('lost'), { ...fresh, infraUsed: INFRA_RETRIES_MAX }, { state: 'failed' }],
  [
    'a full disk is no fault of the step',
    failed('disk_full'),
    fresh,
    { state: 'ready', budget: 'infra', delayMs: 1_000 },
  ],
  [
    'an attempt that never started costs nothing, however often',
    { outcome: 'lost', failureClass: 'not_started', exitCode: undefined } as const,
    { ...fresh, infraUsed: INFRA_RETRIES_MAX },
    { state: 'ready', budget: 'none', delayMs: 0 },
  ],
  [
    'a kill from outside is tried again once',
    failed('killed', 137),
    fresh,
    { state: 'ready', budget: 'infra', delayMs: 1_000 },
  ],
  ['a second kill is the fault of the step', failed('killed', 137), { ...fresh, infraUsed: 1 }, { state: 'failed' }],
  [
    'exit code 75 is always worth another try',
    failed('user_error', 75),
    fresh,
    { state: 'ready', budget: 'user', delayMs: 1_000 },
  ],
  ['exit code 78 never is', failed('user_error', 78), { ...fresh, retries: 5 }, { state: 'failed' }],
] as const)('nextOfStep(): %s', (_name, end, budget, expected) => {
  expect(nextOfStep(end, budget, false)).toEqual(expected)
})

test('nextOfStep() while the run is cancelled keeps a success and cancels the rest', () => {
  expect(nextOfStep({ outcome: 'succeeded', failureClass: undefined, exitCode: 0 }, fresh, true)).toEqual({
    state: 'succeeded',
  })
  expect(nextOfStep(failed('user_error', 1), { ...fresh, retries: 5 }, true)).toEqual({ state: 'cancelled' })
})

test('nextOfBlocked() and nextOfRun() look at failures upstream and at what is open', () => {
  expect([
    nextOfBlocked(1, 0, false),
    nextOfBlocked(0, 0, false),
    nextOfBlocked(3, 1, false),
    nextOfBlocked(0, 0, true),
  ]).toEqual(['blocked', 'ready', 'upstream_failed', 'cancelled'])
  expect([
    nextOfRun(1, 1, false),
    nextOfRun(0, 1, false),
    nextOfRun(0, 0, false),
    nextOfRun(1, 0, true),
    nextOfRun(0, 3, true),
  ]).toEqual(['running', 'failed', 'succeeded', 'cancelling', 'cancelled'])
})

test('endOf() names the signal behind an exit code above 128', () => {
  expect(endOf({ state: 'exited', exitCode: 137 })).toMatchObject({ failureClass: 'killed', signal: 'SIGKILL' })
  expect(endOf({ state: 'exited', exitCode: 255 })).toMatchObject({ failureClass: 'user_error' })
  expect(endOf({ state: 'exited', exitCode: 137, endedBy: 'memory_limit' })).toMatchObject({
    failureClass: 'memory_limit',
  })
  expect(endOf({ state: 'exited', exitCode: 137, endedBy: 'memory_limit' }, { memoryBytes: 256 << 20 }).message).toBe(
    'The step used more memory than its limit of 256 MiB',
  )
})

test.each([
  [1_500, '1.5 s'],
  [90_000, '90 s'],
  [120_000, '2 min'],
  [7_200_000, '2 h'],
])('endOf() says how long a step may take that took longer: %s ms', (timeoutMs, said) => {
  const { message } = endOf({ state: 'exited', signal: 'SIGTERM', endedBy: 'timeout' }, { timeoutMs })
  expect(message).toBe(`The step took longer than its timeout of ${said}`)
})
