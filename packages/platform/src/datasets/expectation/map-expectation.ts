import type { Cell } from '@plimsoll/sdk/seams'
import type { ColumnType, Expectation } from '@plimsoll/sdk/wire'
import type { Json } from '../../kernel/canonical.ts'
import { type Measure, quoted } from '../content/measure.ts'
import { toCount } from '../printed-cell.ts'
import type { ExpectationArguments } from './arguments.ts'
import { type BoundLiteral, parseBound } from './bound.ts'
import type { CompiledExpectation, ExampleQuery, Judgement } from './compiled.ts'

interface MapRule {
  readonly config: Expectation
  readonly column: string
  readonly mostly: number
  /** Unexpected among rows where the column is not null. */
  readonly unexpected: Measure
}

/**
 * Judges values row by row: nulls are left out, `mostly` is a share of the rest, and no value at all is a success.
 * @source great_expectations/expectations/expectation.py, ColumnMapExpectation._validate
 */
export function compileMap({ config, column, mostly, unexpected }: MapRule): CompiledExpectation {
  const condition: Measure = { ...unexpected, sql: `${quoted(column)} IS NOT NULL AND (${unexpected.sql})` }
  return {
    config,
    measures: [
      { sql: 'count(*)' },
      { sql: `count(${quoted(column)})` },
      { ...condition, sql: `count(*) FILTER (WHERE ${condition.sql})` },
    ],
    judge: (cells) => judgeMap(cells, mostly, { columns: [column], condition }),
  }
}

export function judgeMap(cells: readonly Cell[], mostly: number, examples: ExampleQuery): Judgement {
  const [elements, nonnull, unexpected] = [toCount(cells[0]), toCount(cells[1]), toCount(cells[2])]
  const percent = (part: number, whole: number): Json => (whole === 0 ? null : (part / whole) * 100)
  const result = {
    element_count: elements,
    unexpected_count: unexpected,
    unexpected_percent: percent(unexpected, nonnull),
    partial_unexpected_list: [],
    missing_count: elements - nonnull,
    missing_percent: percent(elements - nonnull, elements),
    unexpected_percent_total: nonnull === 0 ? null : percent(unexpected, elements),
    unexpected_percent_nonmissing: percent(unexpected, nonnull),
    partial_unexpected_counts: [],
  }
  const success = nonnull === 0 || (nonnull - unexpected) / nonnull >= mostly
  return { success, result, ...(unexpected > 0 ? { examples } : {}) }
}

/** Null or not null: here the share is of all rows. */
export function compileNullness(
  config: Expectation,
  { column, mostly }: { column: string; mostly: number },
  expectsNull: boolean,
): CompiledExpectation {
  const condition = { sql: `${quoted(column)} IS ${expectsNull ? 'NOT NULL' : 'NULL'}` }
  return {
    config,
    measures: [{ sql: 'count(*)' }, { sql: `count(*) FILTER (WHERE ${condition.sql})` }],
    judge: (cells) => {
      const [elements, unexpected] = [toCount(cells[0]), toCount(cells[1])]
      const result = {
        element_count: elements,
        unexpected_count: unexpected,
        unexpected_percent: elements === 0 ? null : (unexpected / elements) * 100,
        partial_unexpected_list: expectsNull ? [] : Array.from({ length: Math.min(unexpected, 20) }, () => null),
        partial_unexpected_counts: expectsNull || unexpected === 0 ? [] : [{ value: null, count: unexpected }],
      }
      const success = elements === 0 || (elements - unexpected) / elements >= mostly
      return {
        success,
        result,
        ...(expectsNull && unexpected > 0 ? { examples: { columns: [column], condition } } : {}),
      }
    },
  }
}

function literal(value: string | number | boolean, type: ColumnType): BoundLiteral {
  const parsed = parseBound(value, type)
  if ('fault' in parsed) throw new RangeError(parsed.fault)
  return parsed
}

function isFloat(type: ColumnType): boolean {
  return type.type === 'float32' || type.type === 'float64'
}

interface RangeArguments {
  readonly min_value?: number | string | null | undefined
  readonly max_value?: number | string | null | undefined
  readonly strict_min: boolean
  readonly strict_max: boolean
}

/** SQL that is true when `expression` lies outside the bounds. A NaN lies outside of any bounds. */
export function outside(expression: string, bounds: RangeArguments, type: ColumnType): Measure {
  const parts: string[] = isFloat(type) ? [`isnan(${expression})`] : []
  const values: BoundLiteral['value'][] = []
  const add = (value: number | string | null | undefined, operator: string) => {
    if (value === null || value === undefined) return
    const bound = literal(value, type)
    parts.push(`${expression} ${operator} ${bound.sql}`)
    values.push(bound.value)
  }
  add(bounds.min_value, bounds.strict_min ? '<=' : '<')
  add(bounds.max_value, bounds.strict_max ? '>=' : '>')
  return { sql: parts.length > 0 ? parts.join(' OR ') : 'false', values }
}

/** In the set, or not in it. Both sides are compared as the column's type. */
export function setCondition(
  args: ExpectationArguments<'expect_column_values_to_be_in_set'>,
  type: ColumnType,
  expectsIn: boolean,
): Measure {
  const literals = args.value_set.map((value) => literal(value, type))
  return {
    sql: `${quoted(args.column)} ${expectsIn ? 'NOT IN' : 'IN'} (${literals.map((one) => one.sql).join(', ')})`,
    values: literals.map((one) => one.value),
  }
}

/** A search in the text of the value, not a full match: anchors are the author's. */
export function regexCondition({ column, regex }: { column: string; regex: string }, expectsMatch: boolean): Measure {
  return { sql: `${expectsMatch ? 'NOT ' : ''}regexp_matches(CAST(${quoted(column)} AS VARCHAR), $)`, values: [regex] }
}

/** Every member of a group of equal values is unexpected. */
export function compileUnique(
  config: Expectation,
  { column, mostly }: { column: string; mostly: number },
): CompiledExpectation {
  const name = quoted(column)
  const groups = `FROM data WHERE ${name} IS NOT NULL GROUP BY ${name} HAVING count(*) > 1`
  const condition = { sql: `${name} IN (SELECT ${name} ${groups})` }
  return {
    config,
    measures: [
      { sql: 'count(*)' },
      { sql: `count(${name})` },
      { sql: `(SELECT coalesce(sum(c), 0) FROM (SELECT count(*) AS c ${groups}))` },
    ],
    judge: (cells) => judgeMap(cells, mostly, { columns: [column], condition }),
  }
}

const IGNORED_ROWS = { all_values_are_missing: ' OR ', any_value_is_missing: ' AND ', never: undefined } as const

/** Rows whose values in these columns together occur more than once. Nulls of rows that are not ignored equal each other. */
export function compileCompoundUnique(
  config: Expectation,
  args: ExpectationArguments<'expect_compound_columns_to_be_unique'>,
): CompiledExpectation {
  const names = args.column_list.map(quoted)
  const glue = IGNORED_ROWS[args.ignore_row_if]
  const counted = glue === undefined ? 'true' : `(${names.map((name) => `${name} IS NOT NULL`).join(glue)})`
  const groups = `FROM data WHERE ${counted} GROUP BY ${names.join(', ')} HAVING count(*) > 1`
  const equal = names.map((name) => `data.${name} IS NOT DISTINCT FROM twins.${name}`).join(' AND ')
  const condition = {
    sql: `${counted} AND EXISTS (SELECT 1 FROM (SELECT ${names.join(', ')} ${groups}) AS twins WHERE ${equal})`,
  }
  return {
    config,
    measures: [
      { sql: 'count(*)' },
      { sql: `count(*) FILTER (WHERE ${counted})` },
      { sql: `(SELECT coalesce(sum(c), 0) FROM (SELECT count(*) AS c ${groups}))` },
    ],
    judge: (cells) => judgeMap(cells, args.mostly, { columns: args.column_list, condition }),
  }
}
