import fc from 'fast-check'
import { expect, test } from 'vitest'
import { openLinePrefix } from './line-prefix.ts'

function prefixed(...pieces: string[]): string {
  const prefix = openLinePrefix('fit | ')
  return Buffer.concat([...pieces.map((piece) => prefix.push(Buffer.from(piece))), prefix.end()]).toString()
}

test.each([
  ['lines', 'a\nb\n', 'fit | a\nfit | b\n'],
  ['an empty line', 'a\n\nb', 'fit | a\nfit | \nfit | b\n'],
  ['both line ends', 'a\r\nb\r\n', 'fit | a\r\nfit | b\r\n'],
  ['a bar that is written over', '1 %\r2 %\r\n', 'fit | 1 %\rfit | 2 %\r\n'],
  ['what would pass for another step', 'x\rother | y\n', 'fit | x\rfit | other | y\n'],
  ['letters of several bytes', 'ü 名', 'fit | ü 名\n'],
  ['nothing', '', ''],
])('openLinePrefix() with %s', (_title, given, expected) => {
  expect(prefixed(given)).toBe(expected)
})

test('openLinePrefix() makes the same of a log wherever its pieces are cut', () => {
  const part = fc.constantFrom('a', '\n', '\r', '|')
  fc.assert(
    fc.property(fc.array(fc.array(part).map((parts) => parts.join(''))), (pieces) => {
      const text = prefixed(...pieces)
      expect(text).toBe(prefixed(pieces.join('')))
      for (const line of text.split('\n').slice(0, -1)) expect(line.startsWith('fit | ')).toBe(true)
    }),
  )
})
