import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { QueryEngine } from '@plimsoll/sdk/seams'
import type { DatasetDefinition, Expectation, ValidationResult } from '@plimsoll/sdk/wire'
import { evaluateMeasures, type Scan } from '../content/measure.ts'
import { compileSuite } from './compile.ts'
import { judgeSuite, suiteMeasures } from './validate.ts'

/** Evaluates a suite over the rows that a SELECT gives. */
export async function evaluateSuite(
  engine: QueryEngine,
  select: string,
  schema: DatasetDefinition['schema'],
  expectations: readonly Expectation[],
): Promise<ValidationResult> {
  const directory = join(mkdtempSync(join(tmpdir(), 'plimsoll-suite-')), 'out')
  const { files } = await engine.write({ sql: select, inputs: {}, output: { directory } })
  const scan: Scan = {
    engine,
    relation: { format: 'parquet', files, columns: schema },
    signal: new AbortController().signal,
  }
  const context = { schema, foundColumns: Object.keys(schema) }
  const suite = compileSuite(expectations, context)
  return judgeSuite(suite, await evaluateMeasures(scan, suiteMeasures(suite)), scan, context, 'suite', {})
}
