import type { Cell } from '@plimsoll/sdk/seams'
import type { ColumnType, ExpectationResult, ValidationResult } from '@plimsoll/sdk/wire'
import type { Json } from '../../kernel/canonical.ts'
import { type Measure, place, quoted, type Scan, selectRows } from '../content/measure.ts'
import { printCell, toCount } from '../printed-cell.ts'
import type { CompiledExpectation, ExampleQuery, Judgement, SuiteContext } from './compiled.ts'

/** @source Great Expectations: partial_unexpected_list holds the first 20 */
const EXAMPLES_MAX = 20
/** Expectations whose examples are looked up; the counts of all others stand. */
const EXAMPLE_QUERIES_MAX = 100

/** All aggregates of a suite, in order, to be evaluated together with those of the profile. */
export function suiteMeasures(suite: readonly CompiledExpectation[]): Measure[] {
  return suite.flatMap((expectation) => expectation.measures)
}

/** Judges a suite from the cells of its measures; a second pass looks up examples where a value was unexpected. */
export async function judgeSuite(
  suite: readonly CompiledExpectation[],
  cells: readonly Cell[],
  scan: Scan,
  context: SuiteContext,
  suiteName: string,
  meta: Record<string, Json>,
): Promise<ValidationResult> {
  const results: ExpectationResult[] = []
  let start = 0
  let lookedUp = 0
  for (const expectation of suite) {
    const judgement = expectation.judge(cells.slice(start, start + expectation.measures.length))
    start += expectation.measures.length
    const isLookedUp = judgement.examples !== undefined && lookedUp++ < EXAMPLE_QUERIES_MAX
    const found = isLookedUp && judgement.examples ? await findExamples(scan, judgement.examples, context) : {}
    results.push(toResult(expectation, judgement, found))
  }
  const successful = results.filter((result) => result.success).length
  return {
    success: successful === results.length,
    results,
    suite_name: suiteName,
    suite_parameters: {},
    statistics: {
      evaluated_expectations: results.length,
      successful_expectations: successful,
      unsuccessful_expectations: results.length - successful,
      success_percent: results.length === 0 ? null : (successful / results.length) * 100,
    },
    meta: meta as ValidationResult['meta'], // Json without undefined members
  }
}

function toResult(
  expectation: CompiledExpectation,
  judgement: Judgement,
  examples: Record<string, Json>,
): ExpectationResult {
  return {
    success: judgement.success,
    expectation_config: {
      type: expectation.config.type,
      kwargs: expectation.config.kwargs,
      ...(expectation.meta ? { meta: { ...expectation.meta } as ExpectationResult['meta'] } : {}),
    }, // Json without undefined members
    result: { ...judgement.result, ...examples } as ExpectationResult['result'], // Json without undefined members
    meta: {},
    exception_info: { raised_exception: false, exception_message: null, exception_traceback: null },
  }
}

/** The first unexpected values in file order, and the most frequent with their counts over all rows. */
async function findExamples(scan: Scan, examples: ExampleQuery, context: SuiteContext): Promise<Record<string, Json>> {
  const names = examples.columns.map(quoted).join(', ')
  const values: (string | number | bigint | boolean)[] = []
  const condition = place(examples.condition, values)
  const first = await selectRows(scan, `SELECT ${names} FROM data WHERE ${condition} LIMIT ${EXAMPLES_MAX}`, values)
  const order = examples.columns.map((_, index) => index + 1).join(', ')
  const grouped = `SELECT ${names}, count(*) AS row_count FROM data WHERE ${condition} GROUP BY ALL ORDER BY row_count DESC, ${order} LIMIT ${EXAMPLES_MAX}`
  const counted = await selectRows(scan, grouped, values)
  const types = examples.columns.map((column): ColumnType => context.schema[column] ?? { type: 'text', nullable: true })
  return {
    partial_unexpected_list: first.map((row) => printRow(row, examples.columns, types)),
    partial_unexpected_counts: counted.map((row) => ({
      value: printRow(row, examples.columns, types),
      count: toCount(row[examples.columns.length]),
    })),
  }
}

function printRow(row: readonly Cell[], columns: readonly string[], types: readonly ColumnType[]): Json {
  const printed = columns.map((column, index) => [column, printCell(row[index] ?? null, types[index]!)] as const)
  return printed.length === 1 ? printed[0]![1] : Object.fromEntries(printed)
}
