import { expect, test } from 'vitest'
import { openPlatformLines } from './platform-lines.ts'

const own = (more: object) =>
  JSON.stringify({ level: 30, time: 1_795_938_399_688, name: 'step materialize-board', pid: 7, ...more })
const LOG = [
  'epoch 1\r99 %\r',
  own({ msg: 'read é' }),
  own({ level: 40, rows: 3, view: 'board', msg: 'look-ups before then are INVALID' }),
  '{"level":30,"msg":"mine","name":"app"}',
  own({ level: 50, msg: 'lost' }),
].join('\n')

test.each([1, 3, 1_000])('openPlatformLines() says in words what the platform wrote, in pieces of %i bytes', (size) => {
  const lines = openPlatformLines()
  const bytes = Buffer.from(LOG)
  const said: Buffer[] = []
  for (let at = 0; at < bytes.length; at += size) said.push(lines.push(bytes.subarray(at, at + size)))
  expect(
    Buffer.concat([...said, lines.end()])
      .toString('utf8')
      .split('\n'),
  ).toEqual([
    'epoch 1\r99 %\r',
    '2026-11-29T07:46:39.688Z read é',
    '2026-11-29T07:46:39.688Z warning: look-ups before then are INVALID  rows=3 view="board"',
    '{"level":30,"msg":"mine","name":"app"}',
    '2026-11-29T07:46:39.688Z error: lost',
  ])
})

test('openPlatformLines() passes other bytes on as they are, and at once', () => {
  const lines = openPlatformLines()
  const bytes = Buffer.from([0xff, 0x00, 0x7b, 0x0a, 0x7b, 0x22, 0x61])
  expect(lines.push(bytes).equals(bytes)).toBe(true)
  expect(lines.push(Buffer.from('{"level":30}')).toString()).toBe('{"level":30}')
  expect(lines.end()).toHaveLength(0)
})
