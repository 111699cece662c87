import fc from 'fast-check'
import { expect, test } from 'vitest'
import { canonicalJson, type Json } from './canonical.ts'

/** RFC 8785, appendix B: bits of an IEEE 754 double and its text. */
const NUMBERS: [string, string][] = [
  ['0000000000000000', '0'],
  ['8000000000000000', '0'],
  ['0000000000000001', '5e-324'],
  ['8000000000000001', '-5e-324'],
  ['7fefffffffffffff', '1.7976931348623157e+308'],
  ['ffefffffffffffff', '-1.7976931348623157e+308'],
  ['4340000000000000', '9007199254740992'],
  ['c340000000000000', '-9007199254740992'],
  ['4430000000000000', '295147905179352830000'],
  ['44b52d02c7e14af5', '9.999999999999997e+22'],
  ['44b52d02c7e14af6', '1e+23'],
  ['44b52d02c7e14af7', '1.0000000000000001e+23'],
  ['444b1ae4d6e2ef4e', '999999999999999700000'],
  ['444b1ae4d6e2ef4f', '999999999999999900000'],
  ['444b1ae4d6e2ef50', '1e+21'],
  ['3eb0c6f7a0b5ed8c', '9.999999999999997e-7'],
  ['3eb0c6f7a0b5ed8d', '0.000001'],
  ['41b3de4355555553', '333333333.3333332'],
  ['41b3de4355555554', '333333333.33333325'],
  ['41b3de4355555555', '333333333.3333333'],
  ['41b3de4355555556', '333333333.3333334'],
  ['41b3de4355555557', '333333333.33333343'],
  ['becbf647612f3696', '-0.0000033333333333333333'],
  ['43143ff3c1cb0959', '1424953923781206.2'],
]

test.each(NUMBERS)('canonicalJson() prints the double %s as the RFC does', (bits, text) => {
  expect(canonicalJson(Buffer.from(bits, 'hex').readDoubleBE())).toBe(text)
})

test('canonicalJson() prints the example of RFC 8785, section 3.2.2', () => {
  const value = JSON.parse(String.raw`{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
    "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false]}`)
  const expected = String.raw`{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`
  expect(canonicalJson(value)).toBe(expected)
})

test('canonicalJson() sorts keys by UTF-16 code units, as in RFC 8785, section 3.2.3', () => {
  const value = {
    '\u20ac': 'Euro Sign',
    '\r': 'Carriage Return',
    '\ufb33': 'Hebrew Letter Dalet With Dagesh',
    1: 'One',
    '\ud83d\ude00': 'Emoji: Grinning Face',
    '\u0080': 'Control',
    '\u00f6': 'Latin Small Letter O With Diaeresis',
  }
  const order = [
    'Carriage Return',
    'One',
    'Control',
    'Latin Small Letter O With Diaeresis',
    'Euro Sign',
    'Emoji: Grinning Face',
    'Hebrew Letter Dalet With Dagesh',
  ]
  expect(canonicalJson(value).match(/(?<=:")[^"]+/g)).toEqual(order)
})

test.each([
  ['NaN', [Number.NaN], '/0'],
  ['infinity', { a: Number.POSITIVE_INFINITY }, '/a'],
  ['a bigint', { 'a/b~': 1n }, '/a~1b~0'],
  ['a lone surrogate', ['\ud800'], '/0'],
  ['a lone surrogate in a key', { '\udc00': 1 }, ''],
  ['a function', { f: () => 1 }, '/f'],
  ['a symbol', [Symbol('s')], '/0'],
  ['65 levels', Array.from({ length: 65 }).reduce<Json>((inner) => [inner], 1), '/0'.repeat(65)],
])('canonicalJson() refuses %s and says where', (_name, value, pointer) => {
  expect(() => canonicalJson(value)).toThrow(
    expect.objectContaining({
      code: 'canonical.not_json',
      details: { faults: [expect.objectContaining({ pointer })] },
    }),
  )
})

test('canonicalJson() leaves undefined members out and prints undefined items as null', () => {
  expect(canonicalJson({ b: undefined, a: [undefined, 1] })).toBe('{"a":[null,1]}')
})

const json = fc.jsonValue({ maxDepth: 5, stringUnit: 'binary' }) as fc.Arbitrary<Json>

test('canonicalJson() is read back as the same value, and printing it again changes nothing', () => {
  fc.assert(
    fc.property(json, (value) => {
      const text = canonicalJson(value)
      expect(canonicalJson(JSON.parse(text))).toBe(text)
      expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)))
    }),
  )
})

test('canonicalJson() does not depend on the order of insertion', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.integer()), (members) => {
      expect(canonicalJson(Object.fromEntries(Object.entries(members).reverse()))).toBe(canonicalJson(members))
    }),
  )
})
