import { expect, test } from 'vitest'
import { JSON_MEMBERS_MAX, outlineJson } from './json-outline.ts'

test('outlineJson() counts brackets and members outside strings only', () => {
  const outline = (text: string) => outlineJson(Buffer.from(text))
  expect(outline('['.repeat(64) + ']'.repeat(64)).isTooDeep).toBe(false)
  expect(outline('['.repeat(65)).isTooDeep).toBe(true)
  const text = JSON.stringify({ text: `\\"${'[:'.repeat(100)}`, more: [{ 'a:b': 1 }] })
  expect(outline(text)).toEqual({ isTooDeep: false, members: 3 })
})

test('outlineJson() stops at more values than are asked for, and at an object of too many members', () => {
  const outline = (text: string, valuesMax: number) => outlineJson(Buffer.from(text), 64, { valuesMax })
  expect(outline('[[[]],1,"[,,,",{"a":[]}]', 8)).toEqual({ isTooDeep: false, members: 1 })
  expect(outline('[[[]],1,"[,,,",{"a":[]}]', 7).excess).toBe('its JSON holds more than 7 values')
  expect(outline(`[1,1,${'['.repeat(65)}`, 2)).toMatchObject({ isTooDeep: false, excess: expect.anything() })
  const wide = (members: number) => `{${Array.from({ length: members }, (_, at) => `"k${at}":0`).join()}}`
  const whole = wide(JSON_MEMBERS_MAX)
  expect(outline(`[${whole},${whole}]`, 1e9)).toEqual({ isTooDeep: false, members: 2 * JSON_MEMBERS_MAX })
  expect(outline(`[${wide(JSON_MEMBERS_MAX + 1)}]`, 1e9).excess).toBe('an object in it has more than 20000 members')
  // What bounds nothing sees every member.
  expect(outlineJson(Buffer.from(wide(JSON_MEMBERS_MAX + 1)))).toEqual({
    isTooDeep: false,
    members: JSON_MEMBERS_MAX + 1,
  })
})
