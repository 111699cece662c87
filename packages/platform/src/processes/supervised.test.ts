import { expect, test } from 'vitest'
import { loadConfig } from '../kernel/config/index.ts'
import { drainDelayMs } from './supervised.ts'

test.each([
  ['5 s behind a proxy', { server: { behindProxy: true } }, 5_000],
  ['none where nothing is in front', {}, 0],
  ['what is set, also none', { server: { behindProxy: true }, gateway: { drainDelayMs: 0 } }, 0],
  ['what is set', { gateway: { drainDelayMs: 700 } }, 700],
])('drainDelayMs() is %s', async (_, flags, delayMs) => {
  expect(drainDelayMs((await loadConfig({ flags })).config)).toBe(delayMs)
})
