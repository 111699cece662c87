import type { Cell } from '@plimsoll/sdk/seams'
import type { DatasetDefinition, Expectation } from '@plimsoll/sdk/wire'
import type { Json } from '../../kernel/canonical.ts'
import type { Measure } from '../content/measure.ts'

/** What the second pass looks up for rows that were unexpected: the columns to show and the condition that selects them. */
export interface ExampleQuery {
  readonly columns: readonly string[]
  readonly condition: Measure
}

export interface Judgement {
  readonly success: boolean
  readonly result: Readonly<Record<string, Json>>
  readonly examples?: ExampleQuery
}

/** An expectation as aggregates to evaluate, and the judgement of their values. */
export interface CompiledExpectation {
  readonly config: Expectation
  readonly meta?: Readonly<Record<string, Json>>
  readonly measures: readonly Measure[]
  judge(cells: readonly Cell[]): Judgement
}

/** What is known about the data before any row is read. */
export interface SuiteContext {
  readonly schema: DatasetDefinition['schema']
  /** Columns as the files have them, in order. */
  readonly foundColumns: readonly string[]
}

interface Bounds {
  readonly min_value?: number | string | null | undefined
  readonly max_value?: number | string | null | undefined
  readonly strict_min?: boolean
  readonly strict_max?: boolean
}

/** True when a number lies within numeric bounds; absent bounds are open. */
export function isWithin(
  value: number,
  { min_value: min, max_value: max, strict_min: strictMin, strict_max: strictMax }: Bounds,
): boolean {
  if (typeof min === 'number' && !(strictMin ? value > min : value >= min)) return false
  if (typeof max === 'number' && !(strictMax ? value < max : value <= max)) return false
  return true
}
