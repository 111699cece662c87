import { z } from 'zod'
import { columnType, fieldName } from './definition/name.ts'

const count = z.int().nonnegative()

/**
 * Bins that never move once frozen. A value that equals an atom (at least 5 % of the reference) has a bin of its own;
 * others fall into [edge i, edge i+1), the last bin closed; below the first and above the last edge are bins too.
 * Timestamps are binned by microseconds since the epoch, dates by days.
 */
export const numericBins = z.strictObject({
  kind: z.literal('numeric'),
  edges: z.array(z.number()).max(64),
  atoms: z.array(z.number()).max(32),
})

/** Bins of named values, most frequent first; all others fall into one bin. */
export const categoryBins = z.strictObject({
  kind: z.literal('categories'),
  values: z.array(z.string().max(256)).max(100),
})

/** Bins of one column, by kind; they never move, so that later data is counted on the same ones. */
export const frozenBins = z.discriminatedUnion('kind', [numericBins, categoryBins])
/** Bins of one column, numeric or by category. */
export type FrozenBins = z.output<typeof frozenBins>

/** Counts in the order of the bins, with the values that no bin holds. */
export const histogram = z.strictObject({
  bins: frozenBins,
  counts: z.array(count).max(128),
  atomCounts: z.array(count).max(32).default([]),
  below: count.default(0),
  above: count.default(0),
  nan: count.default(0),
  negativeInfinity: count.default(0),
  positiveInfinity: count.default(0),
  /** Values outside the named categories. */
  other: count.default(0),
})
/** Counts on frozen bins; absent counts are 0. */
export type Histogram = z.output<typeof histogram>

/** A value as JSON: numbers as they are, integers beyond 2^53 as text, instants as ISO text in UTC with microseconds. */
const printed = z.union([z.number(), z.string(), z.boolean()])

/**
 * What the values of one column look like. Absent members do not apply to its type, or nothing was there to measure.
 */
export const columnProfile = z.strictObject({
  type: columnType,
  count,
  nullCount: count,
  /** Distinct values that are not null; `isExact` false: a HyperLogLog estimate (p = 12, σ = 1.63 %). */
  distinct: z.strictObject({ count, isExact: z.boolean() }).optional(),
  min: printed.optional(),
  max: printed.optional(),
  /** Of finite values, to 12 significant digits. */
  mean: z.number().optional(),
  /** Sample standard deviation (ddof 1) of finite values, to 12 significant digits. */
  std: z.number().optional(),
  /** Values at 0, 5, …, 100 %: the smallest value with at least that share at or below it. */
  quantiles: z.array(printed).max(21).optional(),
  /** Length of text in code points. */
  lengths: z.strictObject({ min: count, max: count }).optional(),
  topValues: z
    .array(z.strictObject({ value: printed, count }))
    .max(20)
    .optional(),
  histogram: histogram.optional(),
})
/** The profile of one column. */
export type ColumnProfile = z.output<typeof columnProfile>

/** What a dataset version looks like. Later versions and live data are compared on the bins frozen here. */
export const datasetProfile = z.strictObject({
  v: z.literal(1),
  rowCount: count,
  /** Digest of the profile whose bins were taken; absent when they were computed from this data. */
  binsFrom: z.string().optional(),
  columns: z.record(fieldName, columnProfile),
})
/** The profile of a dataset version, by column. */
export type DatasetProfile = z.output<typeof datasetProfile>
