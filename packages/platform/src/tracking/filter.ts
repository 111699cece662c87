import { refusal } from './failure.ts'

const CLAUSES_MAX = 1_000
const LENGTH_MAX = 100_000

export const COMPARATORS = [
  '=',
  '!=',
  '<',
  '<=',
  '>',
  '>=',
  'LIKE',
  'ILIKE',
  'IN',
  'NOT IN',
  'IS NULL',
  'IS NOT NULL',
] as const
export type Comparator = (typeof COMPARATORS)[number]
/** null with IS NULL and IS NOT NULL only. */
export type FilterValue = string | number | readonly string[] | null

export interface Comparison {
  readonly entity: string
  readonly key: string
  readonly comparator: Comparator
  readonly value: FilterValue
}

type Token =
  | { kind: 'word'; text: string }
  | { kind: 'quoted'; text: string; quote: string }
  | { kind: 'number'; text: string }
  | { kind: 'operator'; text: Comparator }
  | { kind: 'mark'; text: '(' | ')' | ',' | '.' }

const NUMBER = /[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w])/y
const WORD = /[\p{L}\p{N}_\-/:]+/uy
const OPERATOR = /!=|<=|>=|=|<|>/y
const MARK = /[(),.]/y
const SPACE = /\s+/y

function invalid(filter: string): Error {
  return refusal(`Invalid clause(s) in filter string: '${filter.slice(0, 500)}'`)
}

function scan(pattern: RegExp, text: string, at: number): string | undefined {
  pattern.lastIndex = at
  return pattern.exec(text)?.[0]
}

function tokenize(filter: string): Token[] {
  const tokens: Token[] = []
  for (let at = 0; at < filter.length; ) {
    const space = scan(SPACE, filter, at)
    if (space !== undefined) {
      at += space.length
      continue
    }
    const quote = filter[at]!
    if (quote === "'" || quote === '"' || quote === '`') {
      const end = filter.indexOf(quote, at + 1)
      if (end < 0) throw invalid(filter)
      tokens.push({ kind: 'quoted', text: filter.slice(at + 1, end), quote })
      at = end + 1
      continue
    }
    const token = scanPlain(filter, at, tokens.at(-1))
    if (!token) throw invalid(filter)
    tokens.push(token)
    at += token.text.length
    if (tokens.length > CLAUSES_MAX * 64) throw refusal('Invalid filter string: it has too many parts')
  }
  return tokens
}

function scanPlain(filter: string, at: number, previous: Token | undefined): Token | undefined {
  const afterDot = previous?.kind === 'mark' && previous.text === '.'
  const number = afterDot ? undefined : scan(NUMBER, filter, at)
  if (number !== undefined) return { kind: 'number', text: number }
  const operator = scan(OPERATOR, filter, at)
  if (operator !== undefined) return { kind: 'operator', text: operator as Comparator } // one of the six that the pattern names
  const mark = scan(MARK, filter, at)
  if (mark !== undefined) return { kind: 'mark', text: mark as '(' | ')' | ',' | '.' }
  const word = scan(WORD, filter, at)
  return word === undefined ? undefined : { kind: 'word', text: word }
}

/**
 * Parses `clause (AND clause)*` with `clause := [entity.]key (comparator value | IS [NOT] NULL)`. There is no OR, no
 * nesting and no function. An empty filter has no clause. `entity` is '' when the key is bare.
 * @throws invalid tracking.invalid_parameter
 */
export function parseFilter(filter: string | undefined): Comparison[] {
  if (!filter || filter.trim() === '') return []
  if (filter.length > LENGTH_MAX) throw refusal(`Invalid filter string: longer than ${LENGTH_MAX} characters`)
  const tokens = tokenize(filter)
  const clauses: Comparison[] = []
  let at = 0
  const next = (): Token => {
    const token = tokens[at++]
    if (!token) throw invalid(filter)
    return token
  }
  const isKeyword = (token: Token | undefined, word: string) =>
    token?.kind === 'word' && token.text.toUpperCase() === word
  for (;;) {
    const left = parseIdentifier(next, () => tokens[at], filter)
    const comparator = parseComparator(next, isKeyword, filter)
    clauses.push({ ...left, comparator, value: parseValue(next, comparator, filter) })
    if (clauses.length > CLAUSES_MAX) throw refusal(`Invalid filter string: more than ${CLAUSES_MAX} clauses`)
    if (at === tokens.length) return clauses
    if (!isKeyword(next(), 'AND')) throw invalid(filter)
  }
}

function parseIdentifier(
  next: () => Token,
  peek: () => Token | undefined,
  filter: string,
): { entity: string; key: string } {
  const parts = [next()]
  const dots: number[] = []
  for (let token = peek(); token?.kind === 'mark' && token.text === '.'; token = peek()) {
    next()
    dots.push(parts.length)
    parts.push(next())
  }
  if (
    parts.some(
      (part) => part.kind === 'operator' || part.kind === 'mark' || (part.kind === 'quoted' && part.quote === "'"),
    )
  )
    throw invalid(filter)
  if (parts.length === 1) {
    // `Run name` without quotes is two words upstream; only the quoted form is taken
    if (parts[0]!.kind === 'number') throw invalid(filter)
    return { entity: '', key: parts[0]!.text }
  }
  if (parts[0]!.kind !== 'word') throw invalid(filter)
  // the key may hold dots of its own: metrics.train.loss
  return {
    entity: parts[0]!.text.toLowerCase(),
    key: parts
      .slice(1)
      .map((part) => part.text)
      .join('.'),
  }
}

function parseComparator(
  next: () => Token,
  isKeyword: (token: Token, word: string) => boolean,
  filter: string,
): Comparator {
  const token = next()
  if (token.kind === 'operator') return token.text
  for (const word of ['LIKE', 'ILIKE', 'IN'] as const) if (isKeyword(token, word)) return word
  if (isKeyword(token, 'NOT') && isKeyword(next(), 'IN')) return 'NOT IN'
  if (isKeyword(token, 'IS')) {
    const what = next()
    if (isKeyword(what, 'NULL')) return 'IS NULL'
    if (isKeyword(what, 'NOT') && isKeyword(next(), 'NULL')) return 'IS NOT NULL'
  }
  throw invalid(filter)
}

function parseValue(next: () => Token, comparator: Comparator, filter: string): FilterValue {
  if (comparator === 'IS NULL' || comparator === 'IS NOT NULL') return null
  const first = next()
  if (comparator === 'IN' || comparator === 'NOT IN') {
    if (first.kind !== 'mark' || first.text !== '(') throw invalid(filter)
    const items: string[] = []
    for (;;) {
      const item = next()
      if (item.kind !== 'quoted' || item.quote === '`') throw invalid(filter)
      items.push(item.text)
      const separator = next()
      if (separator.kind !== 'mark') throw invalid(filter)
      if (separator.text === ')') return items
      if (separator.text !== ',') throw invalid(filter)
    }
  }
  if (first.kind === 'number') return Number(first.text)
  if (first.kind === 'quoted' && first.quote !== '`') return first.text
  throw invalid(filter)
}

/** Prints comparisons so that parsing gives them back; undefined where no quote can hold a value. */
export function printFilter(clauses: readonly Comparison[]): string {
  const quoted = (text: string) => (text.includes("'") ? `"${text}"` : `'${text}'`)
  return clauses
    .map(({ entity, key, comparator, value }) => {
      const name = `${entity === '' ? '' : `${entity}.`}\`${key}\``
      if (value === null) return `${name} ${comparator}`
      const printed = Array.isArray(value)
        ? `(${value.map(quoted).join(', ')})`
        : typeof value === 'number'
          ? String(value)
          : quoted(value as string)
      return `${name} ${comparator} ${printed}`
    })
    .join(' AND ')
}

const TEXT = ['=', '!=', 'LIKE', 'ILIKE'] as const
const NUMERIC = ['=', '!=', '<', '<=', '>', '>='] as const

/** A text comparison, or a refusal that names what is allowed. */
export function requireText(clause: Comparison, options: { lists?: boolean } = {}): void {
  const isList = clause.comparator === 'IN' || clause.comparator === 'NOT IN'
  const allowed = isList ? options.lists === true : (TEXT as readonly string[]).includes(clause.comparator)
  if (!allowed)
    throw refusal(
      `Invalid comparator '${clause.comparator}' for '${clause.key}': expected one of ${[...TEXT, ...(options.lists ? ['IN', 'NOT IN'] : [])].join(', ')}`,
    )
  if (!isList && typeof clause.value !== 'string')
    throw refusal(`Expected a quoted string value for '${clause.key}' (e.g. 'my-value'). Got value ${clause.value}`)
}

export function requireNumber(clause: Comparison): asserts clause is Comparison & { value: number } {
  if (!(NUMERIC as readonly string[]).includes(clause.comparator)) {
    throw refusal(
      `Invalid comparator '${clause.comparator}' for '${clause.key}': expected one of ${NUMERIC.join(', ')}`,
    )
  }
  if (typeof clause.value !== 'number')
    throw refusal(`Expected a numeric value for '${clause.key}'. Got value ${JSON.stringify(clause.value)}`)
}
