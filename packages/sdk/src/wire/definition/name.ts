import { z } from 'zod'

/** Name of a definition: `[a-z][a-z0-9_-]*`, at most 63 characters. */
export const definitionName = z
  .string()
  .regex(/^[a-z][a-z0-9_-]{0,62}$/, 'expected a lower-case letter, then letters, digits, _ or -, at most 63 characters')
/** Name of a column, feature, key or param: no `__` (reserved for view__feature). */
export const fieldName = z
  .string()
  .regex(
    /^(?!.*__)[A-Za-z_][A-Za-z0-9_]{0,62}$/,
    'expected a letter or _, then letters, digits or _, without "__", at most 63 characters',
  )

/** Fields that every definition may carry; they never change a digest's meaning to a machine. */
export const described = { description: z.string().max(2_000).optional(), owner: z.string().max(200).optional() }

/** Types of columns and features. `timestamp` is an instant in microseconds, `date` a day without a zone. */
export const VALUE_TYPES = [
  'boolean',
  'int32',
  'int64',
  'float32',
  'float64',
  'text',
  'timestamp',
  'date',
  'bytes',
] as const
/** One of `VALUE_TYPES`. */
export type ValueType = (typeof VALUE_TYPES)[number]
/** The name of a type of columns and features. */
export const valueType = z.enum(VALUE_TYPES)

/** A typed column. A `timestamp` states the zone of its stored values; `UTC` when the file carries instants. */
export const columnType = z.strictObject({
  type: valueType,
  zone: z.string().max(64).optional(),
  nullable: z.boolean().default(false),
  description: z.string().max(2_000).optional(),
})
/** The type of one column, its defaults filled in. */
export type ColumnType = z.output<typeof columnType>
