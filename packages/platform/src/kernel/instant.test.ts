import { expect, test } from 'vitest'
import { parseDay, parseInstant, parseInstantUs } from './instant.ts'

const NOON = Date.UTC(2004, 1, 29, 12)

test.each([
  '2004-02-29T12:00:00Z',
  '2004-02-29T12:00Z',
  '2004-02-29 12:00:00.000000000+00:00',
  '2004-02-29 14:00:00 +02:00',
  '2004-02-29t12:00:00z',
  '2004-02-28T13:00:00-23:00',
])('parseInstant() takes %s', (text) => expect(parseInstant(text)).toBe(NOON))

test('parseInstant() takes a day as its beginning in UTC', () => {
  expect(parseInstant('2004-02-29')).toBe(Date.UTC(2004, 1, 29))
})

test.each([
  '2001-02-29T10:00:00Z', // a day that does not exist
  '2001-02-29',
  '0000-00-00',
  '2001-04-01 (noon) 10:00Z',
  '2001-04-01T24:00:00Z',
  '2001-04-01T10:60:00Z',
  '2001-04-01T10:00:00+24:00',
  '2001-04-01T10:00:00+99:99',
  '2001-04-01T10:00:00+0200',
  '2001-04-01T10:00:00', // no zone
  '2001-04-01T10Z',
  '5',
  'April 1, 2001',
])('parseInstant() refuses %s', (text) => expect(parseInstant(text)).toBeUndefined())

test('parseDay() takes days only', () => {
  expect(parseDay('2004-02-29')).toBe(Date.UTC(2004, 1, 29))
  for (const text of ['2001-02-29', '2001-13-01', '2004-02-29T00:00:00Z']) expect(parseDay(text)).toBeUndefined()
})

test.each([
  ['2004-02-29T12:00:00.000500Z', 500n],
  ['2004-02-29T12:00:00.5Z', 500_000n],
  ['2004-02-29T14:00:00.0000019999+02:00', 1n],
  ['2004-02-29T12:00:00Z', 0n],
  ['2004-02-29', -43_200_000_000n],
])('parseInstantUs() keeps the microseconds of %s', (text, afterNoonUs) =>
  expect(parseInstantUs(text)).toBe(BigInt(NOON) * 1_000n + afterNoonUs),
)

test('parseInstantUs() refuses what is no time', () => {
  for (const text of ['2001-02-29T10:00:00.5Z', '5.5', '2001-04-01T10:00:00.5'])
    expect(parseInstantUs(text)).toBeUndefined()
})
