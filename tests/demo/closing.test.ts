import { execFileSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { closingLines } from '../../scripts/demo/closing.mjs'

const HOUR_MS = 3_600_000

test('closingLines() refreshes ahead of the clock of the replay, also when it is run minutes later', () => {
  const toldMs = Date.now() - 300_000
  const health = { time: '2001-04-17T00:00:00Z', replay_rate: 3_600 }
  const lines = Object.fromEntries(closingLines('/tmp/data', 'pred_1', health, 12, toldMs))
  expect(lines.Explain).toBe('npx plimsoll explain pred_1 --data-dir /tmp/data')
  const [, until] = /--param until=(.*) --data-dir/.exec(lines['Minutes later, first']!) ?? []
  const made = Date.parse(execFileSync('sh', ['-c', `echo ${until}`], { encoding: 'utf8' }).trim())
  const nowMs = Date.parse(health.time) + (Date.now() - toldMs) * health.replay_rate
  // A second of the machine, in which the shell runs, is an hour of the replay.
  expect(Math.abs(made - nowMs - 12 * 24 * HOUR_MS) / HOUR_MS).toBeLessThan(24)
})

test('closingLines() quotes a data directory for a shell', () => {
  const lines = Object.fromEntries(
    closingLines("/tmp/Ada's data", 'pred_1', { time: '2001-04-17T00:00:00Z', replay_rate: 1 }, 1),
  )
  expect(execFileSync('sh', ['-c', `printf '%s|' ${lines.Explain}`], { encoding: 'utf8' })).toBe(
    "npx|plimsoll|explain|pred_1|--data-dir|/tmp/Ada's data|",
  )
})
