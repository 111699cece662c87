import type { z } from 'zod'
import {
  csvFormat,
  type DatasetDefinition,
  datasetDefinition,
  datasetSource,
  type Expectation,
} from '../wire/definition/dataset.ts'
import { type ColumnType, columnType, type ValueType } from '../wire/definition/name.ts'
import { shownValue } from '../wire/definition/words.ts'
import { defined, listOf } from './refusal.ts'

/** Options that every column type takes. */
export interface ColumnOptions {
  /** True: nulls are allowed. Otherwise each one fails the version. */
  readonly nullable?: boolean
  readonly description?: string
}

function column(type: ValueType, options: ColumnOptions & { zone?: string } = {}): ColumnType {
  return defined(columnType, `A column of type ${type}`, { type, ...options })
}

/** True or false. */
export function boolean(options?: ColumnOptions): ColumnType {
  return column('boolean', options)
}

/** An integer of 32 bits, signed. */
export function int32(options?: ColumnOptions): ColumnType {
  return column('int32', options)
}

/** An integer of 64 bits, signed. */
export function int64(options?: ColumnOptions): ColumnType {
  return column('int64', options)
}

/** An IEEE 754 number of 32 bits. */
export function float32(options?: ColumnOptions): ColumnType {
  return column('float32', options)
}

/** An IEEE 754 number of 64 bits. Decimals of a file are read as such. */
export function float64(options?: ColumnOptions): ColumnType {
  return column('float64', options)
}

/** Unicode text. */
export function text(options?: ColumnOptions): ColumnType {
  return column('text', options)
}

/** An instant. `zone` (IANA) says where the clock stood when the file holds times without one; without it they are refused. */
export function timestamp(options?: ColumnOptions & { readonly zone?: string }): ColumnType {
  return column('timestamp', options)
}

/** A calendar day. */
export function date(options?: ColumnOptions): ColumnType {
  return column('date', options)
}

/** Bytes. */
export function bytes(options?: ColumnOptions): ColumnType {
  return column('bytes', options)
}

/** Where a dataset's files are and how they are written. */
export type DatasetSource = DatasetDefinition['source']

/** Parquet files: a path or glob relative to the project folder, or an absolute one when they lie elsewhere. */
export function parquet(path: string): DatasetSource {
  return defined(datasetSource, 'A parquet source', { format: 'parquet', path })
}

/** CSV files, read as the schema says. Fields are separated by commas and the first line is a header, unless `columns` names the fields. */
export function csv(
  path: string,
  options: {
    readonly delimiter?: string
    readonly header?: boolean
    readonly columns?: readonly string[]
    readonly nullText?: string
  } = {},
): DatasetSource {
  return defined(datasetSource, 'A csv source', {
    format: 'csv',
    path,
    csv: defined(csvFormat, 'A csv source', { ...options, ...(options.columns ? { header: false } : {}) }),
  })
}

/** A value to compare with: for a timestamp or date, ISO text. */
export type ExpectedValue = number | string | boolean

/** Inclusive bounds become exclusive where asked. */
export interface Strictness {
  readonly strictMin?: boolean
  readonly strictMax?: boolean
}

type Bound = number | string | null

/** An expectation on the values of a column, which a share of them may miss. */
export interface MostlyExpectation extends Expectation {
  /** The share of values, 0 to 1, that must be as expected. */
  mostly(share: number): Expectation
}

function plain(type: string, kwargs: Expectation['kwargs']): Expectation {
  return { type, kwargs }
}

/** `mostly` is not enumerable, so that the object is plain JSON to everything else. */
function perValue(type: string, kwargs: Expectation['kwargs']): MostlyExpectation {
  const made = plain(type, kwargs)
  Object.defineProperty(made, 'mostly', {
    value: (share: number) => plain(type, { ...kwargs, mostly: share }),
    enumerable: false,
  })
  return made as MostlyExpectation // the line above adds the one member
}

function bounds(min: Bound, max: Bound, strictness: Strictness = {}): Expectation['kwargs'] {
  const { strictMin, strictMax } = strictness
  return {
    ...(min === null ? {} : { min_value: min }),
    ...(max === null ? {} : { max_value: max }),
    ...(strictMin ? { strict_min: true } : {}),
    ...(strictMax ? { strict_max: true } : {}),
  }
}

/** What may be expected of one column. Nulls count only for `notNull` and `isNull`. */
export interface ColumnExpectations {
  /** Values from `min` to `max`, both included; null leaves a side open. */
  between(min: Bound, max: Bound, strictness?: Strictness): MostlyExpectation
  /** Values among these; the list may not be empty. */
  oneOf(values: readonly ExpectedValue[]): MostlyExpectation
  /** No value among these; the list may not be empty. */
  notOneOf(values: readonly ExpectedValue[]): MostlyExpectation
  /** Text in which this RE2 pattern is found: a search, so write ^ and $ to match the whole. */
  matches(pattern: string): MostlyExpectation
  /** Text in which this RE2 pattern is not found. */
  doesNotMatch(pattern: string): MostlyExpectation
  /** Length of text in code points. */
  lengthBetween(min: number | null, max: number | null): MostlyExpectation
  /** Length of text in code points. */
  lengthEquals(length: number): MostlyExpectation
  /** No null; the schema says so already for a column that is not nullable. */
  notNull(): MostlyExpectation
  /** Only nulls. */
  isNull(): MostlyExpectation
  /** No value twice. */
  unique(): MostlyExpectation
  /** The column is there, at this position from 0 when given. */
  exists(index?: number): Expectation
  /** The column has this type, by the name it has here, in SQL, pandas or Spark. */
  ofType(type: string): Expectation
  /** The smallest value. */
  minBetween(min: Bound, max: Bound, strictness?: Strictness): Expectation
  /** The greatest value. */
  maxBetween(min: Bound, max: Bound, strictness?: Strictness): Expectation
  /** The mean of the numbers. */
  meanBetween(min: number | null, max: number | null, strictness?: Strictness): Expectation
  /** The median; of an even count the mean of the two middle values. */
  medianBetween(min: number | null, max: number | null, strictness?: Strictness): Expectation
  /** The sum of the numbers. */
  sumBetween(min: number | null, max: number | null, strictness?: Strictness): Expectation
  /** The sample standard deviation. */
  stdevBetween(min: number | null, max: number | null, strictness?: Strictness): Expectation
  /** How many different values there are. */
  uniqueCountBetween(min: number | null, max: number | null, strictness?: Strictness): Expectation
  /** Different values as a share of those that are not null, 0 to 1. */
  uniqueProportionBetween(min: number | null, max: number | null, strictness?: Strictness): Expectation
}

/** Starts an expectation on a column: `expectColumn('delay').between(-120, 2_000).mostly(0.999)`. */
export function expectColumn(name: string): ColumnExpectations {
  const on = { column: name }
  const place = `expectColumn(${shownValue(name)})`
  const aggregate = (what: string) => (min: Bound, max: Bound, strictness?: Strictness) =>
    plain(`expect_column_${what}_to_be_between`, { ...on, ...bounds(min, max, strictness) })
  return {
    between: (min, max, strictness) =>
      perValue('expect_column_values_to_be_between', { ...on, ...bounds(min, max, strictness) }),
    oneOf: (values) =>
      perValue('expect_column_values_to_be_in_set', { ...on, value_set: listOf(`${place}.oneOf`, values) }),
    notOneOf: (values) =>
      perValue('expect_column_values_to_not_be_in_set', { ...on, value_set: listOf(`${place}.notOneOf`, values) }),
    matches: (regex) => perValue('expect_column_values_to_match_regex', { ...on, regex }),
    doesNotMatch: (regex) => perValue('expect_column_values_to_not_match_regex', { ...on, regex }),
    lengthBetween: (min, max) => perValue('expect_column_value_lengths_to_be_between', { ...on, ...bounds(min, max) }),
    lengthEquals: (value) => perValue('expect_column_value_lengths_to_equal', { ...on, value }),
    notNull: () => perValue('expect_column_values_to_not_be_null', on),
    isNull: () => perValue('expect_column_values_to_be_null', on),
    unique: () => perValue('expect_column_values_to_be_unique', on),
    exists: (index) =>
      plain('expect_column_to_exist', { ...on, ...(index === undefined ? {} : { column_index: index }) }),
    ofType: (type) => plain('expect_column_values_to_be_of_type', { ...on, type_: type }),
    minBetween: aggregate('min'),
    maxBetween: aggregate('max'),
    meanBetween: aggregate('mean'),
    medianBetween: aggregate('median'),
    sumBetween: aggregate('sum'),
    stdevBetween: aggregate('stdev'),
    uniqueCountBetween: aggregate('unique_value_count'),
    uniqueProportionBetween: aggregate('proportion_of_unique_values'),
  }
}

/** What may be expected of a whole dataset version. */
export interface TableExpectations {
  /** Number of rows, both bounds included; null leaves a side open. */
  rowCountBetween(min: number | null, max: number | null): Expectation
  /** Exactly so many rows. */
  rowCountEquals(count: number): Expectation
  /** Number of columns in the files, both bounds included; null leaves a side open. */
  columnCountBetween(min: number | null, max: number | null): Expectation
  /** Exactly so many columns in the files. */
  columnCountEquals(count: number): Expectation
  /** These columns in any order; others too when `exact` is false. */
  columnsMatchSet(names: readonly string[], options?: { readonly exact?: boolean }): Expectation
  /** Exactly these columns in this order. */
  columnsMatchList(names: readonly string[]): Expectation
  /** No two rows with the same values in all these columns. Rows where all of them are null do not count. */
  compoundUnique(columns: readonly string[]): MostlyExpectation
}

/** Starts an expectation on the whole table: `expectTable().rowCountBetween(1, null)`. */
export function expectTable(): TableExpectations {
  return {
    rowCountBetween: (min, max) => plain('expect_table_row_count_to_be_between', bounds(min, max)),
    rowCountEquals: (value) => plain('expect_table_row_count_to_equal', { value }),
    columnCountBetween: (min, max) => plain('expect_table_column_count_to_be_between', bounds(min, max)),
    columnCountEquals: (value) => plain('expect_table_column_count_to_equal', { value }),
    columnsMatchSet: (names, options) =>
      plain('expect_table_columns_to_match_set', {
        column_set: listOf('expectTable().columnsMatchSet', names),
        ...(options?.exact === false ? { exact_match: false } : {}),
      }),
    columnsMatchList: (names) =>
      plain('expect_table_columns_to_match_ordered_list', {
        column_list: listOf('expectTable().columnsMatchList', names),
      }),
    compoundUnique: (columns) =>
      perValue('expect_compound_columns_to_be_unique', {
        column_list: listOf('expectTable().compoundUnique', columns),
      }),
  }
}

/** What `defineDataset` takes: the definition without its kind, defaults left out. */
export type DatasetOptions = Omit<z.input<typeof datasetDefinition>, 'kind' | 'expectations'> & {
  readonly expectations?: readonly Expectation[]
}

/**
 * Declares a dataset: where its files are, the columns they have, and what must hold of every version.
 * Throws one error that lists every fault.
 */
export function defineDataset(options: DatasetOptions): DatasetDefinition {
  return defined(datasetDefinition, `Cannot define dataset ${shownValue(options?.name)}`, {
    kind: 'dataset',
    ...options,
  })
}
