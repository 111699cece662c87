import { expect, test } from 'vitest'
import { jsonFaultPlace } from './json-fault.ts'

test.each([
  ['{bad', 1, 2],
  ['undefined', 1, 1],
  ['[object Object]', 1, 2],
  ['', 1, 1],
  ['{"a":', 1, 6],
  ['{"a": "b', 1, 9],
  ['{\n "a": 1,\n}', 3, 1],
  ['[1,\n2,]', 2, 3],
  ['[tru, 1]', 1, 5],
  ['{"a": 1} x', 1, 10],
  ["{\n 'a': 1}", 2, 2],
  [`[${'1, '.repeat(9_000)}\nx]`, 2, 1],
])('jsonFaultPlace() says where %j ceases to be JSON', (text, line, column) => {
  expect(jsonFaultPlace(text)).toBe(`: see its line ${line}, column ${column}`)
})

test('jsonFaultPlace() looks for nothing in a text that is long', () => {
  expect(jsonFaultPlace(`[${'1,'.repeat(1 << 17)}x]`)).toBe('')
})

test('jsonFaultPlace() names the numbers that JSON has not', () => {
  expect(jsonFaultPlace('{"a": "NaN",\n "b": NaN}')).toBe(': see its line 2, column 7 (NaN)')
  expect(jsonFaultPlace('NaN')).toBe(': see its line 1, column 1 (NaN)')
  expect(jsonFaultPlace('[-Infinity]')).toBe(': see its line 1, column 3 (Infinity)')
})

test('jsonFaultPlace() takes no beginning of JSON for a fault', () => {
  const text = '{"a": [true, false, null, -1.5e-7, "\\u00e9\\n"], "b": {"c": 0}}'
  for (let length = 0; length < text.length; length++)
    expect(jsonFaultPlace(`${text.slice(0, length)}§`)).toMatch(/^: see its line 1, column \d+$/)
  for (let length = 1; length < text.length; length++)
    expect(jsonFaultPlace(text.slice(0, length))).toBe(`: see its line 1, column ${length + 1}`)
})
