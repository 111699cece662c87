import fc from 'fast-check'
import { expect, test } from 'vitest'
import { endsOf, HIDES_NOTHING, openRedactor, patternOf } from './redaction.ts'

const hidden = (values: string[], text: string) => openRedactor(values).hideText(text)

test('openRedactor() puts a star for each byte of a value, and leaves the rest as it is', () => {
  expect(hidden(['canary'], 'a canary, canarycanary canar')).toBe('a ******, ************ canar')
  expect(hidden(['pässwörd'], 'é pässwörd é')).toBe(`é ${'*'.repeat(10)} é`)
  expect(hidden(['line one\nline two'], 'x\nline one\nline two\n')).toBe(`x\n${'*'.repeat(17)}\n`)
  expect(hidden([], 'canary')).toBe('canary')
  expect(openRedactor([])).toBe(HIDES_NOTHING)
})

test.each([
  [
    'a key of a service',
    '{"type":"account","key":"-----BEGIN\\nabc\\n"}',
    [
      '\'{"type":"account","key":"-----BEGIN\\\\nabc\\\\n"}\'',
      '\'{"type":"account","key":"-----BEGIN\\\\nabc\\\\n"}\'',
      'b\'{"type":"account","key":"-----BEGIN\\\\nabc\\\\n"}\'',
    ],
  ],
  [
    'lines with a quote',
    'one "1"\ntwo\ttabs\r\n',
    ['\'one "1"\\ntwo\\ttabs\\r\\n\'', '\'one "1"\\ntwo\\ttabs\\r\\n\'', 'b\'one "1"\\ntwo\\ttabs\\r\\n\''],
  ],
  ['both kinds of quotes', 'it\'s "so"\\', ["'it\\'s \"so\"\\\\'", "'it\\'s \"so\"\\\\'", "b'it\\'s \"so\"\\\\'"]],
  ['one kind of quotes', "it's so\n", ['"it\'s so\\n"', '"it\'s so\\n"', 'b"it\'s so\\n"']],
  [
    'letters, signs and what is not shown',
    'p\u00e4\u20ac\ud83d\ude00\u00a0\u200b\u001b\u007f',
    [
      "'p\u00e4\u20ac\ud83d\ude00\\xa0\\u200b\\x1b\\x7f'",
      "'p\\xe4\\u20ac\\U0001f600\\xa0\\u200b\\x1b\\x7f'",
      "b'p\\xc3\\xa4\\xe2\\x82\\xac\\xf0\\x9f\\x98\\x80\\xc2\\xa0\\xe2\\x80\\x8b\\x1b\\x7f'",
    ],
  ],
])(
  'openRedactor() finds a value also as repr, ascii and the repr of bytes of Python show it: %s',
  (_title, value, shown) => {
    expect(shown.map((text) => hidden([value], text).replace(/\*+/, '*'))).toEqual([
      expect.stringMatching(/^(['"])\*\1$/),
      expect.stringMatching(/^(['"])\*\1$/),
      expect.stringMatching(/^b(['"])\*\1$/),
    ])
  },
)

test('openRedactor() finds a value also as JSON quotes it', () => {
  const value = 'say "x"\n\\end'
  expect(hidden([value], JSON.stringify({ value }))).toBe(`{"value":"${'*'.repeat(16)}"}`)
  // As Python's json.dumps writes it.
  expect(hidden(['pässwörd 🚢'], '"p\\u00e4ssw\\u00f6rd \\ud83d\\udea2"')).toBe(`"${'*'.repeat(31)}"`)
})

test('openRedactor() hides values that overlap, themselves and each other', () => {
  expect(hidden(['abaaba'], 'xabaabaabay')).toBe('x*********y')
  expect(hidden(['aaaaaa'], 'baaaaaaaab')).toBe('b********b')
  expect(hidden(['secret-one', 'one-and-two', 'secret'], 'secret-one-and-two secret')).toBe(
    `${'*'.repeat(18)} ${'*'.repeat(6)}`,
  )
})

test('openRedactor() takes bytes that are no text', () => {
  const bytes = Buffer.concat([Buffer.from([0xff, 0xc3]), Buffer.from('canary'), Buffer.from([0, 0xff])])
  expect([...openRedactor(['canary']).hide(bytes)]).toEqual([0xff, 0xc3, ...Buffer.from('******'), 0, 0xff])
})

test('openEndBytes() counts what may become a value, and nothing that cannot', () => {
  const redactor = openRedactor(['canary', 'nary-2'])
  const openEnd = (text: string) => redactor.openEndBytes(Buffer.from(text))
  expect(['', 'x', 'c', 'a canar', 'canarx', 'can can', 'xcana', 'canary'].map(openEnd)).toEqual([
    0, 0, 1, 5, 0, 3, 4, 4,
  ])
})

/** Bytes that count how often they are looked at; a search for a text at worst at each of its bytes, from each place. */
function counted(bytes: Buffer) {
  let looks = 0
  const seen = new Proxy(bytes, {
    get: (target, key) => {
      if (key === 'indexOf')
        return (text: Buffer, from: number) => {
          const found = target.indexOf(text, from)
          looks += ((found === -1 ? target.length : found + 1) - from) * text.length
          return found
        }
      if (typeof key === 'string' && /^\d+$/.test(key)) looks++
      return Reflect.get(target, key, target) as unknown
    },
  })
  return { seen, looks: () => looks }
}

test.each([
  ['one that nearly occurs everywhere', `${'a'.repeat(3_000)}b${'a'.repeat(3_000)}`, 'a'],
  ['one that occurs everywhere', 'a'.repeat(3_000), 'a'],
  ['one of which only the head occurs', `${'a'.repeat(16)}${'b'.repeat(3_000)}`, `${'a'.repeat(16)}c`],
  ['one that begins at each byte and goes no further', `${'a'.repeat(15)}b`, 'a'],
  ['one that breaks off late', `${'ab'.repeat(1_500)}c`, `${'ab'.repeat(1_400)}d`],
])('endsOf() looks at each byte a bounded number of times, for any value: %s', (_, value, unit) => {
  const text = Buffer.from(unit.repeat(Math.ceil(20_000 / unit.length)))
  const { seen, looks } = counted(text)
  const ends = [...endsOf(patternOf(value), seen)]
  const expected: number[] = []
  for (let at = text.indexOf(value); at !== -1; at = text.indexOf(value, at + 1)) expected.push(at + value.length)
  expect(ends).toEqual(expected)
  // 16 for the search of the head, two each for a comparison that fails and one that does not.
  expect(looks() / text.length).toBeLessThan(16 + 4)
})

const letters = (length: object) => fc.string({ unit: fc.constantFrom('a', 'b', 'é'), ...length })

test('openRedactor() hides the same bytes whether it sees a text at once or a window around a part of it', () => {
  fc.assert(
    fc.property(
      fc.array(letters({ minLength: 1, maxLength: 5 }), { minLength: 1, maxLength: 3 }),
      letters({ maxLength: 40 }),
      fc.nat(80),
      fc.nat(80),
      (values, text, one, other) => {
        const redactor = openRedactor(values)
        const bytes = Buffer.from(text)
        const whole = redactor.hide(bytes)
        // By its definition: a byte is hidden when an occurrence covers it.
        const covered = new Set<number>()
        for (const value of values.map((text) => Buffer.from(text)))
          for (let at = 0; at + value.length <= bytes.length; at++)
            if (bytes.subarray(at, at + value.length).equals(value))
              for (let byte = at; byte < at + value.length; byte++) covered.add(byte)
        expect([...whole]).toEqual([...bytes].map((byte, at) => (covered.has(at) ? 0x2a : byte)))
        const [start, end] = [one, other].map((at) => Math.min(at, bytes.length)).sort((a, b) => a - b) as [
          number,
          number,
        ]
        const around = redactor.longestBytes - 1
        const from = Math.max(0, start - around)
        const part = redactor.hide(bytes.subarray(from, end + around)).subarray(start - from, end - from)
        expect(part).toEqual(whole.subarray(start, end))
        // What is held back at an end is all that what follows could still hide.
        const seen = bytes.subarray(0, end)
        const shown = end - redactor.openEndBytes(seen)
        expect(redactor.hide(seen).subarray(0, shown)).toEqual(whole.subarray(0, shown))
      },
    ),
    { numRuns: 2_000 },
  )
})
