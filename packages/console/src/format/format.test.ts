import { expect, test } from 'vitest'
import { actorText } from './actor.ts'
import { formatBytes, formatMetric, plainLog, plainText, readableLog, shortDigest } from './amount.ts'
import { levelOf, loadOf, MARK_AT } from './load.ts'
import { formatAbsolute, formatDuration, formatRelative, replayTime } from './time.ts'

const NOW = Date.parse('2001-04-23T12:00:00Z')

test.each([
  [0, 'just now'],
  [42_000, '42 s ago'],
  [3 * 60_000, '3 min ago'],
  [5 * 3_600_000, '5 h ago'],
  [3 * 86_400_000, '3 days ago'],
  [-60_000, '2001-04-23 12:01'],
  [90 * 86_400_000, '2001-01-23 12:00'],
])('formatRelative() of %d ms is %s', (age, text) => {
  expect(formatRelative(NOW - age, NOW)).toBe(text)
})

test('formatAbsolute() names the zone, and admits what is no time', () => {
  expect(formatAbsolute(NOW)).toBe('2001-04-23 12:00:00 UTC')
  expect(formatAbsolute(Number.NaN)).toBe('unknown time')
})

test.each([
  [850, '850 ms'],
  [12_440, '12.4 s'],
  [185_000, '3 min 05 s'],
  [7_620_000, '2 h 07 min'],
  [59_999, '59.9 s'],
  [-1, '–'],
])('formatDuration() of %d is %s', (ms, text) => {
  expect(formatDuration(ms)).toBe(text)
})

test('replayTime() goes on at the rate of the replay', () => {
  expect(replayTime(NOW, 60, 1_000)).toBe(NOW + 60_000)
  expect(replayTime(NOW, null, 1_000)).toBe(NOW + 1_000)
})

test('plainText() takes the power from control and direction marks, and cuts', () => {
  expect(plainText('a\u202eb\u0007c')).toBe('a\ufffdb\ufffdc')
  expect(plainText('x'.repeat(1_000_000), 10)).toBe(`${'x'.repeat(9)}…`)
})

test('formatBytes(), formatMetric() and shortDigest() are short', () => {
  expect([formatBytes(0), formatBytes(1_536), formatBytes(5 << 20)]).toEqual(['0 B', '1.5 KiB', '5.0 MiB'])
  expect([formatMetric(184_220), formatMetric(0.78712)]).toEqual(['184,220', '0.7871'])
  expect([1.402e-7, -3e-12, 0.00001, 0.0001234, 0].map(formatMetric)).toEqual([
    '1.4e-7',
    '-3e-12',
    '1e-5',
    '0.0001234',
    '0',
  ])
  expect(shortDigest(`sha256:${'ab'.repeat(32)}`)).toBe('abababababab')
})

test('loadOf() is over only beyond the mark, and the level on the mark reaches the line', () => {
  expect([loadOf(44, 50), loadOf(45, 50), loadOf(50, 50), loadOf(51, 50)]).toEqual(['below', 'near', 'near', 'over'])
  expect([levelOf(50, 50), levelOf(1_000, 50), levelOf(0, 50), levelOf(1, 0)]).toEqual([MARK_AT, 1, 0, 1])
})

test('plainLog() keeps lines, and drops colours and what reorders text', () => {
  expect(plainLog('\u001b[31ma\u001b[0m\tb\r\nc\u202ed\n')).toBe('a\tb\nc\ufffdd\n')
})

test('readableLog() shows the message of what the platform wrote, and all else as it is', () => {
  const own = (more: object) => JSON.stringify({ level: 30, time: 1, pid: 7, name: 'step a', ...more })
  const kept = ['epoch 1', '{"level":"high","msg":"mine"}', '{"level":30,"time":1}', '{"level":30,cut']
  const lines = [
    own({ msg: 'loaded' }),
    own({ level: 40, rows: 3, msg: 'few' }),
    own({ level: 50, msg: 'lost' }),
    ...kept,
  ]
  expect(readableLog(lines.join('\n'), 'register').split('\n')).toEqual([
    'loaded',
    'warning: few  rows=3',
    'error: lost',
    ...kept,
  ])
  expect(readableLog(lines.join('\n'), 'command'), 'of a program').toBe(lines.join('\n'))
})

test.each([
  ['system', 'none', 'by the platform'],
  ['anonymous', 'none', 'by someone who did not log in'],
  ['operator', 'token:tok_1', 'by the operator of the server, with token tok_1'],
  ['ada', 'token:tok_01a2270e005f7d82aae412d8f1205627', 'by ada, with token tok_…f1205627'],
  ['run:run_1', 'token:tok_2', 'by a step of run run_1'],
  ['ada', 'ssh:SHA256:abc', 'by ada, signed with SSH key SHA256:abc'],
  ['ada', 'oidc:https://id.example.org', 'by ada, logged in through https://id.example.org'],
  ['a\u202eda', 'seal\u202e', 'by a\ufffdda, seal\ufffd'],
])('actorText() says who %s is, proven by %s', (actor, proof, text) => {
  expect(actorText(actor, proof)).toBe(text)
})
