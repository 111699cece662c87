import { expect, test } from 'vitest'
import { parseParams } from './run.ts'

test('parseParams() takes JSON as what it means, and everything else as text', () => {
  const given = ['a=1', 'b="1"', 'c=one', 'd=null', 'e={"x":[1]}', 'f=', 'g=a=b', 'h=01']
  expect(parseParams(given)).toEqual({ a: 1, b: '1', c: 'one', d: null, e: { x: [1] }, f: '', g: 'a=b', h: '01' })
})

test.each(['x=1e400', 'x=9007199254740993', 'x={"a":1,"a":2}', 'x={"__proto__":1}', '__proto__=1', 'x', '=1'])(
  'parseParams() refuses %s',
  (given) => {
    expect(() => parseParams([given])).toThrow(/^Cannot read --param/)
  },
)
