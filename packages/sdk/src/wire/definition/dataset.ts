import { z } from 'zod'
import { columnType, definitionName, described, fieldName } from './name.ts'

/** Types and arguments carry Great Expectations' names, for example `expect_column_values_to_be_between`. */
export const expectation = z.strictObject({
  type: z.string().regex(/^expect_[a-z_]+$/),
  kwargs: z.record(z.string(), z.json()),
})
export type Expectation = z.output<typeof expectation>

export const datasetSource = z.strictObject({
  format: z.enum(['parquet', 'csv']),
  /** Path or glob, relative to the project folder. */
  path: z.string().min(1).max(1_024),
})

export const datasetDefinition = z.strictObject({
  kind: z.literal('dataset'),
  name: definitionName,
  ...described,
  source: datasetSource,
  /** `in-place`: files stay where they are and are named by digest. `copy`: bytes go to the blob store. */
  storage: z.enum(['in-place', 'copy']).default('in-place'),
  schema: z.record(fieldName, columnType),
  expectations: z.array(expectation).max(500).default([]),
})
export type DatasetDefinition = z.output<typeof datasetDefinition>
