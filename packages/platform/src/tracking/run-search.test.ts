import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openTestDatabase, type TestDatabase } from '../kernel/db/database.fixture.ts'
import { type Comparison, printFilter } from './filter.ts'
import { createRun } from './run.ts'
import { logBatch } from './run-log.ts'
import { searchRuns } from './run-search.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await openTestDatabase()
})
afterAll(() => database.close())

interface Row {
  params: Record<string, string>
  tags: Record<string, string>
  metrics: Record<string, number>
}

/** What the grammar means, without SQL: `%` and `_` are wildcards, nothing escapes, a missing key matches nothing. */
function likeMatches(value: string, pattern: string): boolean {
  const [head, ...rest] = [...pattern]
  if (head === undefined) return value === ''
  const [first, ...tail] = [...value]
  if (head === '%')
    return likeMatches(value, rest.join('')) || (first !== undefined && likeMatches(tail.join(''), pattern))
  return first !== undefined && (head === '_' || head === first) && likeMatches(tail.join(''), rest.join(''))
}

function matches(row: Row, { entity, key, comparator, value }: Comparison): boolean {
  if (entity === 'metrics') {
    const stored = row.metrics[key]
    if (stored === undefined || Number.isNaN(stored)) return false
    const wanted = value as number
    return {
      '=': stored === wanted,
      '!=': stored !== wanted,
      '<': stored < wanted,
      '<=': stored <= wanted,
      '>': stored > wanted,
      '>=': stored >= wanted,
    }[comparator as '=']
  }
  const stored = (entity === 'params' ? row.params : row.tags)[key]
  if (comparator === 'IS NULL' || comparator === 'IS NOT NULL')
    return (stored === undefined) === (comparator === 'IS NULL')
  if (stored === undefined) return false
  const wanted = value as string
  if (comparator === '=') return stored === wanted
  if (comparator === '!=') return stored !== wanted
  return comparator === 'LIKE' ? likeMatches(stored, wanted) : likeMatches(stored.toLowerCase(), wanted.toLowerCase())
}

const word = fc.string({ unit: fc.constantFrom('a', 'A', 'b', '_', '%', '\\', ' '), minLength: 1, maxLength: 4 })
const key = fc.constantFrom('k', 'l')
const number = fc.constantFrom(-1, 0, 0.1, 1, 2)
const row: fc.Arbitrary<Row> = fc.record({
  params: fc.dictionary(key, word, { maxKeys: 2 }),
  tags: fc.dictionary(key, word, { maxKeys: 2 }),
  metrics: fc.dictionary(key, fc.oneof(number, fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY)), { maxKeys: 2 }),
})
const clause: fc.Arbitrary<Comparison> = fc.oneof(
  fc.record({
    entity: fc.constantFrom('params', 'tags'),
    key,
    comparator: fc.constantFrom('=' as const, '!=' as const, 'LIKE' as const, 'ILIKE' as const),
    value: word,
  }),
  fc.record({
    entity: fc.constant('metrics'),
    key,
    comparator: fc.constantFrom('=' as const, '!=' as const, '<' as const, '<=' as const, '>' as const, '>=' as const),
    value: number,
  }),
  fc.record({
    entity: fc.constantFrom('params', 'tags'),
    key,
    comparator: fc.constantFrom('IS NULL' as const, 'IS NOT NULL' as const),
    value: fc.constant(null),
  }),
)

test('searchRuns() finds what the grammar means, with several clauses at once', async () => {
  const rows = fc.sample(row, { numRuns: 40, seed: 7 })
  const ids: string[] = []
  for (const one of rows) {
    const { id } = await createRun(database.ctx, { experiment: '0' })
    ids.push(id)
    const pairs = (of: Record<string, string>) => Object.entries(of).map(([name, value]) => ({ key: name, value }))
    const metrics = Object.entries(one.metrics).map(([name, value]) => ({
      key: name,
      value,
      timestampMs: 1n,
      step: 0n,
    }))
    await logBatch(database.ctx, id, { metrics, params: pairs(one.params), tags: pairs(one.tags) })
  }
  await fc.assert(
    fc.asyncProperty(fc.array(clause, { maxLength: 3 }), async (clauses) => {
      const { runs } = await searchRuns(database.ctx, { experiments: ['0'], filter: printFilter(clauses) })
      const expected = ids.filter((_, index) => clauses.every((one) => matches(rows[index]!, one)))
      expect(runs.map((run) => run.id).toSorted()).toEqual(expected.toSorted())
    }),
    { numRuns: 200 },
  )
})
