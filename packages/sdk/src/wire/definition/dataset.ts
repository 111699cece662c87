import { z } from 'zod'
import { json } from '../json.ts'
import { columnType, definitionName, described, fieldName } from './name.ts'

/** Types and arguments carry Great Expectations' names, for example `expect_column_values_to_be_between`. */
export const expectation = z.strictObject({
  type: z.string().regex(/^expect_[a-z_]{1,120}$/, 'expected a name such as expect_column_values_to_be_between'),
  kwargs: z.record(z.string(), json),
})
/** One check on a dataset, in Great Expectations' names. */
export type Expectation = z.output<typeof expectation>

/** How CSV files are written; quotes are `"`, doubled inside a quoted field. */
export const csvFormat = z
  .strictObject({
    delimiter: z
      .string()
      .length(1)
      .regex(/[^"\n\r]/, 'expected one character that is no quote and no line end')
      .default(','),
    /** The first line of each file names the columns. */
    header: z.boolean().default(true),
    /** Names of the fields in order, for files without a header: a schema has no order. */
    columns: z.array(fieldName).min(1).max(2_000).optional(),
    /** Unquoted text that means null. */
    nullText: z.string().max(32).default(''),
  })
  .refine((format) => format.header === (format.columns === undefined), {
    path: ['columns'],
    error: 'is needed without a header, and only then',
  })

/** Where the files of a dataset lie, and how they are written. */
export const datasetSource = z
  .strictObject({
    format: z.enum(['parquet', 'csv']),
    /** Path or glob (`*`, `?`, `**`), relative to the project folder. An absolute path states that the files lie outside. */
    path: z
      .string()
      .min(1)
      .max(1_024)
      .refine((path) => !path.includes('\0'), 'has a zero byte'),
    csv: csvFormat.optional(),
  })
  .refine((source) => source.csv === undefined || source.format === 'csv', {
    path: ['csv'],
    error: 'belongs to the format csv only',
  })

function isTimeZone(zone: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: zone }).resolvedOptions().timeZone.length > 0
  } catch {
    return false
  }
}

/** Columns by name. Names must differ by more than case, since SQL does not see the case. */
const datasetSchema = z.record(fieldName, columnType).superRefine((schema, check) => {
  const names = Object.keys(schema)
  if (names.length === 0) check.addIssue({ code: 'custom', message: 'names no column' })
  if (names.length > 2_000) check.addIssue({ code: 'custom', message: 'names more than 2,000 columns' })
  const seen = new Map<string, string>()
  for (const [name, type] of Object.entries(schema)) {
    const twin = seen.get(name.toLowerCase())
    if (twin) check.addIssue({ code: 'custom', path: [name], message: `differs from "${twin}" only by case` })
    seen.set(name.toLowerCase(), name)
    if (type.zone === undefined) continue
    if (type.type !== 'timestamp')
      check.addIssue({ code: 'custom', path: [name, 'zone'], message: 'belongs to timestamps only' })
    else if (!isTimeZone(type.zone))
      check.addIssue({ code: 'custom', path: [name, 'zone'], message: `"${type.zone}" is not an IANA time zone` })
  }
})

/** A named source of rows: its files, the types of its columns, and what is expected of them. */
export const datasetDefinition = z.strictObject({
  kind: z.literal('dataset'),
  name: definitionName,
  ...described,
  source: datasetSource,
  /** `in-place`: files stay where they are and are named by digest. `copy`: bytes go to the blob store. */
  storage: z.enum(['in-place', 'copy']).default('in-place'),
  schema: datasetSchema,
  expectations: z.array(expectation).max(500).default([]),
})
/** The definition of a dataset, its defaults filled in. */
export type DatasetDefinition = z.output<typeof datasetDefinition>
