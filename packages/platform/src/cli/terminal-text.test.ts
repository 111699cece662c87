import fc from 'fast-check'
import { expect, test } from 'vitest'
import { openTerminalText } from './terminal-text.ts'

function shown(...pieces: string[]): string {
  const text = openTerminalText()
  return [...pieces.map((piece) => text.push(piece)), text.end()].join('')
}

test.each([
  ['text, tabs, both line ends', 'one\ttwo ü 名\r\n', 'one\ttwo ü 名\r\n'],
  ['colours', '\u001b[1;38;5;9mred\u001b[0m\u001b[m\n', '\u001b[1;38;5;9mred\u001b[0m\u001b[m\n'],
  ['a colour that stays open', 'a\u001b[31mred', 'a\u001b[31mred\u001b[0m\n'],
  ['a colour that stays open after its line', '\u001b[38;5;0mred\n', '\u001b[38;5;0mred\n\u001b[0m'],
  ['a title that ends with BEL', 'a\u001b]0;title\u0007b\n', 'ab\n'],
  ['a title that ends with ST', 'a\u001b]0;title\u001b\\b\n', 'ab\n'],
  ['a title that never ends', 'a\u001b]0;title\nb\n', 'a\nb\n'],
  ['a clear screen, a moved cursor, a report', '\u001b[2J\u001b[3;4Hx\u001b[6n\u001b[?25l\u001b[>4;1m\n', 'x\n'],
  ['a reset and another charset', 'a\u001bc\u001b(0b\n', 'ab\n'],
  ['NUL, BEL, backspace, form feed, delete', 'a\0\u0007\b\f\u007fb\n', 'ab\n'],
  ['controls of one byte', 'a\u009b2Jb\u009dc\n', 'a2Jbc\n'],
  ['turned writing', 'a\u202eb\u2066c\n', 'abc\n'],
  ['an escape at the end', 'a\u001b', 'a\n'],
  ['no line end', 'a', 'a\n'],
  ['a colour after the line end', 'a\n\u001b[0m', 'a\n\u001b[0m'],
  ['nothing', '', ''],
])('openTerminalText() with %s', (_title, given, expected) => {
  expect(shown(given)).toBe(expected)
  expect(shown(...given)).toBe(expected)
})

test('openTerminalText() lets no control but colours through, wherever the pieces are cut', () => {
  const part = fc.constantFrom('\u001b', '[', ']', '0', ';', 'm', 'J', '\u0007', '\\', 'a', '\n', '\0', '(', '\u009b')
  fc.assert(
    fc.property(fc.array(fc.array(part).map((parts) => parts.join(''))), (pieces) => {
      const text = shown(...pieces)
      for (const after of text.split('\u001b').slice(1)) expect(after).toMatch(/^\[[\d:;]*m/)
      for (const control of ['\0', '\u0007', '\u009b']) expect(text).not.toContain(control)
      expect(text).toBe(shown(pieces.join('')))
    }),
  )
})
