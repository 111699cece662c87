import { join } from 'node:path'
import type { Cell, InputRelation, OnlineStore, QueryEngine } from '@plimsoll/sdk/seams'
import type { EntityDefinition, FeatureViewDefinition } from '@plimsoll/sdk/wire'
import { PlimsollError } from '../kernel/errors.ts'
import { encodeVersion, type KeyValue } from './online/index.ts'
import { orderedSource } from './view-plan.ts'

const PAGE_ROWS = 50_000

export interface MaterializeRequest {
  readonly engine: QueryEngine
  readonly store: OnlineStore
  readonly view: FeatureViewDefinition
  readonly entity: EntityDefinition
  readonly generation: number
  readonly source: InputRelation
  /** Everything known up to this instant, and nothing later. */
  readonly untilUs: bigint
  /** Number of the source's version: a later one replaces windows that an earlier one filled up to the same instant. */
  readonly sourceVersion: number
  /** How long before `untilUs` lookups must still find what was known, windows whole. */
  readonly slackUs: number
  readonly workDir: string
  readonly signal?: AbortSignal
  readonly progress?: (fraction: number, message: string) => void
}

/** Of what is recomputed whole: a later instant wins, then a later version of the source, then what reaches further back. */
export function recomputedVersion({ untilUs, sourceVersion, slackUs }: MaterializeRequest): Buffer {
  return encodeVersion(untilUs, BigInt(sourceVersion), BigInt(slackUs))
}

/** Rows of a statement in pages, in the order of its `place` column: memory holds one page. */
export async function* pages(request: MaterializeRequest, name: string, sql: string): AsyncIterable<Cell[]> {
  const signal = request.signal ? { signal: request.signal } : {}
  const { files, rowCount } = await request.engine.write({
    sql,
    inputs: { source: orderedSource(request.source, request.view) },
    output: { directory: join(request.workDir, name) },
    ...signal,
  })
  for (let from = 0; from < rowCount; from += PAGE_ROWS) {
    const { rows } = await request.engine.rows({
      sql: 'SELECT * FROM sorted WHERE place > $1 AND place <= $2 ORDER BY place',
      inputs: { sorted: { format: 'parquet', files } },
      values: [from, from + PAGE_ROWS],
      ...signal,
    })
    yield* rows
  }
}

export function isSameEntity(left: readonly KeyValue[], right: readonly KeyValue[]): boolean {
  return left.every((part, index) => {
    const other = right[index]
    return part instanceof Uint8Array && other instanceof Uint8Array
      ? Buffer.compare(part, other) === 0
      : part === other
  })
}

/**
 * A value as the online store holds it, in float64: where that is a neighbour of what training saw, nothing is served.
 * @throws invalid features.inexact_integer
 */
export function exactNumber(
  { view }: MaterializeRequest,
  column: string,
  value: number | bigint | null,
): number | null {
  if (typeof value !== 'bigint') return value
  const number = Number(value)
  if (Number.isSafeInteger(number)) return number
  throw new PlimsollError(
    'invalid',
    'features.inexact_integer',
    `Cannot serve view "${view.name}" online: column "${column}" holds ${value}, and whole numbers are exact there up to 2^53 − 1`,
    { action: 'Make the column float64 if neighbours will do, or leave the view out of the online store' },
  )
}
