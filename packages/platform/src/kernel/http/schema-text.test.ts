import { expect, test } from 'vitest'
import { z } from 'zod'
import { membersHtml, type Schema, typeText } from './schema-text.ts'

const schemaOf = (schema: z.ZodType) => z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as Schema

test.each([
  ['string', z.string()],
  ['string date-time', z.iso.datetime()],
  ['string, 1–250 characters', z.string().min(1).max(250)],
  ['string, at most 5 characters', z.string().max(5)],
  ['string, 3 characters', z.string().length(3)],
  ['string /^[a-z]+$/', z.string().regex(/^[a-z]+$/)],
  ['string', z.string().regex(/^(?:one|two|three|four|five|six|seven|eight|nine|ten)$/)],
  ['integer', z.int()],
  ['integer ≥ 0', z.int().min(0)],
  ['integer > 0 ≤ 9', z.int().positive().max(9)],
  ['number ≥ 0.5 < 2', z.number().min(0.5).lt(2)],
  ['boolean', z.boolean()],
  ['"a" | "b"', z.enum(['a', 'b'])],
  ['"a" | integer | null', z.union([z.literal('a'), z.int(), z.null()])],
  ['array of string, at most 10', z.array(z.string()).max(10)],
  ['array of object, 1–2', z.array(z.object({})).min(1).max(2)],
  ['object of number by name', z.record(z.string(), z.number())],
  ['any', z.unknown()],
])('typeText() says %s', (text, schema) => {
  expect(typeText(schemaOf(schema))).toBe(text)
})

test('membersHtml() lists members at any depth, those of options and of lists too, and escapes what they are called', () => {
  const inner = z.object({ '<b>': z.int().optional() })
  const schema = z.object({
    a: z.array(inner),
    n: z.int().default(3),
    or: z.union([z.object({ c: z.boolean() }), z.null()]),
  })
  expect(membersHtml(schemaOf(schema))).toBe(
    '<ul><li><code>a</code> array of object<ul><li><code>&lt;b&gt;</code> integer, optional</li></ul></li>' +
      '<li><code>n</code> integer, 3 when absent</li>' +
      '<li><code>or</code> object | null<ul><li><code>c</code> boolean</li></ul></li></ul>',
  )
  expect(typeText({ $ref: '#/components/schemas/Recursive1' })).toBe('Recursive1')
})
