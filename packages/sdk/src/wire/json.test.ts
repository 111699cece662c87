import { expect, test } from 'vitest'
import { z } from 'zod'
import { json } from './json.ts'

const nested = (levels: number): unknown => (levels === 0 ? 1 : [nested(levels - 1)])

test('json takes what z.json() takes, and 64 levels of it', () => {
  for (const value of [null, true, -0, 'x', [], {}, [[1], { a: [null] }], Object.create(null), nested(64)])
    expect([json.safeParse(value).success, z.json().safeParse(value).success]).toEqual([true, true])
  for (const value of [
    undefined,
    Number.NaN,
    1n,
    Symbol.iterator,
    new Date(0),
    () => 1,
    new Map(),
    [undefined],
    { a: [1, new Set()] },
  ])
    expect([json.safeParse(value).success, z.json().safeParse(value).success]).toEqual([false, false])
  expect(json.safeParse(nested(65)).success).toBe(false)
})

test('json names where a value is none, and a member that must be there', () => {
  const within = z.strictObject({ of: json })
  const pathsOf = (value: unknown) => within.safeParse(value).error?.issues.map(({ path }) => path)
  expect(pathsOf({ of: { a: [1, { b: Number.NaN }] } })).toEqual([['of', 'a', 1, 'b']])
  expect(pathsOf({})).toEqual([['of']])
})
