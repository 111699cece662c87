import { expect, test } from 'vitest'
import { readLogLine } from './log-line.ts'

const own = (more: object) => JSON.stringify({ level: 40, time: 1, name: 'step a', pid: 7, msg: 'few', ...more })

test('readLogLine() reads a line of the platform on one line, without what a terminal obeys', () => {
  expect(readLogLine(own({ rows: 3 }))).toEqual({
    at: '1970-01-01T00:00:00.001Z',
    level: 'warning',
    text: 'few  rows=3',
  })
  expect(readLogLine(own({ msg: '\u001b]0;pwn\u0007 all\nforged' }))?.text).toBe(' ]0;pwn  all forged')
  expect(readLogLine(own({ name: 'mine' }))).toBeUndefined()
  expect(readLogLine('epoch 1')).toBeUndefined()
})
