import { expect, test } from 'vitest'
import { outlineJson } from './json-outline.ts'

test('outlineJson() counts brackets and members outside strings only', () => {
  const outline = (text: string) => outlineJson(Buffer.from(text))
  expect(outline('['.repeat(64) + ']'.repeat(64)).isTooDeep).toBe(false)
  expect(outline('['.repeat(65)).isTooDeep).toBe(true)
  const text = JSON.stringify({ text: `\\"${'[:'.repeat(100)}`, more: [{ 'a:b': 1 }] })
  expect(outline(text)).toEqual({ isTooDeep: false, members: 3 })
})
