/** The part of JSON Schema that the contract of the API uses. */
export interface Schema {
  readonly type?: string
  readonly const?: unknown
  readonly enum?: readonly unknown[]
  readonly anyOf?: readonly Schema[]
  readonly oneOf?: readonly Schema[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly items?: Schema
  readonly pattern?: string
  readonly minLength?: number
  readonly minimum?: number
  readonly $ref?: string
  readonly $defs?: Readonly<Record<string, Schema>>
}

/** One value for each pattern of the contract. A pattern that is not here stops the run: give it one. */
const PATTERN_SAMPLES: Readonly<Record<string, string>> = {
  '^[a-zA-Z0-9][a-zA-Z0-9._@+-]{0,127}$': 'someone',
  '^[a-z][a-z0-9_-]{0,62}$': 'somename',
  '^\\d{1,18}$': '1',
  '^sha256:[0-9a-f]{64}$': `sha256:${'0'.repeat(64)}`,
  '^(?!.*__)[A-Za-z_][A-Za-z0-9_]{0,62}$': 'field',
  '^[a-z][a-z-]{0,62}$': 'python',
  '^[a-z0-9][a-z0-9-]{0,62}$': 'gw',
  '^boot_[0-9a-f]{32}$': `boot_${'0'.repeat(32)}`,
}

interface Root {
  readonly schema: Schema
}

function resolve(schema: Schema, root: Root): Schema {
  const reference = schema.$ref
  if (typeof reference !== 'string') return schema
  const name = reference.split('/').at(-1) ?? ''
  const found = root.schema.$defs?.[name]
  return found ?? {}
}

function textFor(schema: Schema): string {
  const { pattern, minLength } = schema
  if (typeof pattern !== 'string') return 'x'.repeat(Math.max(1, Number(minLength ?? 1)))
  const sample = PATTERN_SAMPLES[pattern]
  if (sample === undefined) throw new Error(`There is no sample for the pattern ${pattern}: add one`)
  return sample
}

function valueFor(given: Schema, root: Root): unknown {
  const schema = resolve(given, root)
  if ('const' in schema) return schema.const
  if (Array.isArray(schema.enum)) return schema.enum[0]
  const branches = schema.anyOf ?? schema.oneOf
  if (branches?.[0]) return valueFor(branches[0], root)
  switch (schema.type) {
    case 'string':
      return textFor(schema)
    case 'integer':
    case 'number':
      return Math.max(1, Number(schema.minimum ?? 1))
    case 'boolean':
      return true
    case 'null':
      return null
    case 'array':
      return schema.items === undefined ? [] : [valueFor(schema.items, root)]
    case 'object': {
      const properties = schema.properties ?? {}
      const required = schema.required ?? []
      return Object.fromEntries(required.map((name) => [name, valueFor(properties[name] ?? {}, root)]))
    }
    default:
      return 1
  }
}

/** A small value that fits a schema. */
export function exampleOf(schema: Schema): unknown {
  return valueFor(schema, { schema })
}

interface Place {
  readonly pointer: readonly (string | number)[]
  readonly type: string
  readonly isNullable: boolean
}

const PLACES_DEPTH_MAX = 6

function placesOf(given: Schema, root: Root, pointer: readonly (string | number)[], isNullable = false): Place[] {
  const schema = resolve(given, root)
  if (pointer.length > PLACES_DEPTH_MAX) return []
  const branches = schema.anyOf ?? schema.oneOf
  if (branches?.[0])
    return placesOf(
      branches[0],
      root,
      pointer,
      branches.some((branch) => branch.type === 'null'),
    )
  const type = String(schema.type ?? 'any')
  if (type === 'object') {
    const properties = schema.properties ?? {}
    const inner = Object.entries(properties).flatMap(([name, member]) => placesOf(member, root, [...pointer, name]))
    return [...(pointer.length > 0 ? [{ pointer, type, isNullable }] : []), ...inner]
  }
  if (type === 'array')
    return [{ pointer, type, isNullable }, ...placesOf((schema.items ?? {}) as Schema, root, [...pointer, 0])]
  return [{ pointer, type: 'enum' in schema || 'const' in schema ? 'enum' : type, isNullable }]
}

/** JSON text of `value` with `text`, which need not be JSON that JavaScript writes, in one place. */
function planted(value: unknown, pointer: readonly (string | number)[], text: string): string {
  const MARK = 'planted-here'
  const copy = structuredClone(value) as Record<string | number, unknown>
  let at = copy
  for (const part of pointer.slice(0, -1)) {
    if (typeof at[part] !== 'object' || at[part] === null) at[part] = {}
    at = at[part] as Record<string | number, unknown>
  }
  at[pointer.at(-1)!] = MARK
  return JSON.stringify(copy).replace(`"${MARK}"`, () => text)
}

type Outcome = 'invalid' | 'refused' | 'handled'

/** What is put into a place of each type, and whether that may be taken. */
function plantsFor(type: string): readonly (readonly [name: string, text: string, expect: Outcome])[] {
  const wrong = (...texts: string[]) => texts.map((text) => [text.slice(0, 24), text, 'invalid'] as const)
  const hostileTexts = [
    ['a NUL', '"a\\u0000b"', 'invalid'],
    ['half a surrogate pair', '"a\\ud800b"', 'invalid'],
    ['100,000 characters', `"${'x'.repeat(100_000)}"`, 'invalid'],
  ] as const
  switch (type) {
    case 'string':
      return [
        ...wrong('5', 'null', '{}', '[]', 'true'),
        ...hostileTexts,
        ['a traversal', '"../../etc/passwd"', 'handled'],
        ['SQL', `"' or 1=1; drop table auth_token--"`, 'handled'],
        ['a bidi override', '"a\\u202eb"', 'handled'],
        ['markup', '"<img src=x onerror=alert(1)>"', 'handled'],
        ['an escape of terminals', '"\\u001b[2J"', 'handled'],
        ['the name of the prototype', '"__proto__"', 'handled'],
      ]
    case 'enum':
      return [...wrong('5', 'null', '"zz"', '"__proto__"', '"constructor"'), ...hostileTexts]
    case 'integer':
      return [
        ...wrong('"x"', 'null', '{}', '[]', '1.5', '1e999', '-1e999', '-0.5', '-9007199254740993'),
        ['a number beyond int32', '2147483648', 'handled'],
        ['the largest exact integer', '9007199254740991', 'handled'],
        ['zero', '0', 'handled'],
      ]
    case 'number':
      return [
        ...wrong('"x"', 'null', '{}', '[]', '1e999'),
        ['a huge number', '1e308', 'handled'],
        ['-0', '-0', 'handled'],
      ]
    case 'boolean':
      return wrong('"x"', 'null', '1', '{}')
    case 'array':
      return wrong('"x"', '5', '{}', 'true')
    case 'object':
      return wrong('"x"', '5', '[]', 'true')
    default:
      return [
        ['a NUL', '"a\\u0000b"', 'invalid'],
        ['half a surrogate pair', '"a\\ud800b"', 'invalid'],
      ]
  }
}

export interface Leaf {
  readonly pointer: string
  readonly text: { readonly name: string; readonly json: string }
  readonly expect: Outcome
}

/** The example of a schema, once for each thing that does not belong into one of its places. */
export function leavesOf(schema: Schema): Leaf[] {
  const example = exampleOf(schema)
  return placesOf(schema, { schema }, []).flatMap(({ pointer, type, isNullable }) =>
    plantsFor(type)
      .filter(([, text]) => !(isNullable && text === 'null'))
      .map(([name, text, expect]) => ({
        pointer: `/${pointer.join('/')}`,
        text: { name, json: planted(example, pointer, text) },
        expect,
      })),
  )
}
