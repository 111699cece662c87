import { expect, test } from 'vitest'
import { loadConfig } from '../kernel/config/index.ts'
import { openGatewayProcess } from './gateway.ts'
import { drainDelayMs, type StartMessage } from './supervised.ts'

test.each([
  ['5 s behind a proxy', { server: { behindProxy: true } }, 5_000],
  ['none where nothing is in front', {}, 0],
  ['what is set, also none', { server: { behindProxy: true }, gateway: { drainDelayMs: 0 } }, 0],
  ['what is set', { gateway: { drainDelayMs: 700 } }, 700],
])('drainDelayMs() is %s', async (_, flags, delayMs) => {
  expect(drainDelayMs((await loadConfig({ flags })).config)).toBe(delayMs)
})

test('openGatewayProcess() does not start without a control plane to ask', async () => {
  const start = { kind: 'start' } as StartMessage // as a supervisor that forgot the rest would send it
  await expect(openGatewayProcess(start)).rejects.toMatchObject({ code: 'serving.no_control_url' })
})
