import { refusal } from '../failure.ts'

/** Where a value was read from: `query` values are text, and `source` prints the original of a refused one. */
export interface Reading {
  readonly query: boolean
  source(path: string): string
}

export interface Field<T, R extends boolean = boolean> {
  readonly required: R
  /** Checks the type only. `value` is neither null nor undefined. */
  parse(value: unknown, path: string, reading: Reading): T
  /** Required members and limits, after all types are known to be right. */
  check(value: T, path: string): void
}

export type Fields = Readonly<Record<string, Field<unknown>>>
export type Parsed<F extends Fields> = {
  readonly [K in keyof F]: F[K] extends Field<infer T, infer R> ? (R extends true ? T : T | undefined) : never
}

const INT64_MIN = -(2n ** 63n)
const INT64_MAX = 2n ** 63n - 1n

function wrong(path: string, reading: Reading): Error {
  return refusal(
    `Invalid value ${reading.source(path)} for parameter '${path}' supplied: it has the wrong type or range`,
  )
}

function lacking(path: string): Error {
  return refusal(
    `Missing value for required parameter '${path}'. See the API docs for more information about request parameters.`,
  )
}

const accept = () => {}

/** Marks a field that must be present and not "". */
export function required<T>(field: Field<T>): Field<T, true> {
  return { ...field, required: true }
}

function optional<T>(field: Omit<Field<T>, 'required'>): Field<T, false> {
  return { ...field, required: false }
}

/** Text of at most `max` characters (code points, as Python counts). */
export function text(max?: number): Field<string, false> {
  return optional({
    parse: (value, path, reading) => {
      if (typeof value !== 'string') throw wrong(path, reading)
      return value
    },
    check: (value, path) => {
      if (max !== undefined) refuseLonger(value, max, path)
    },
  })
}

/** By code points, as Python counts; they are counted only where there may be too many. */
export function isLonger(text: string, max: number): boolean {
  return text.length > max && [...text].length > max
}

export function refuseLonger(value: string, max: number, path: string): void {
  if (isLonger(value, max)) {
    throw refusal(`'${path}' exceeds the maximum length of ${max} characters`)
  }
}

/** An experiment id: an integer is taken as its text. */
export function experimentId(): Field<string, false> {
  return optional({
    parse: (value, path, reading) => {
      if (typeof value === 'string') return value
      if (typeof value === 'bigint' || (typeof value === 'number' && Number.isInteger(value))) return String(value)
      throw wrong(path, reading)
    },
    check: accept,
  })
}

/** An int64 given as a number or as decimal text. */
export function int64(limits: { min?: bigint } = {}): Field<bigint, false> {
  return optional({
    parse: (value, path, reading) => {
      const number = readInteger(value)
      if (number === undefined || number < INT64_MIN || number > INT64_MAX) throw wrong(path, reading)
      if (limits.min !== undefined && number < limits.min) throw wrong(path, reading)
      return number
    },
    check: accept,
  })
}

function readInteger(value: unknown): bigint | undefined {
  if (typeof value === 'bigint') return value
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : undefined
  return typeof value === 'string' && /^-?\d{1,19}$/.test(value) ? BigInt(value) : undefined
}

/** A page size in [min, max]; outside of it the message is MLflow's for a wrong value. */
export function pageSize(defaults: { max: number; min?: number }): Field<number, false> {
  return optional({
    parse: (value, path, reading) => {
      const number = readInteger(value)
      if (number === undefined || number < BigInt(defaults.min ?? 1) || number > BigInt(defaults.max)) {
        throw wrong(path, reading)
      }
      return Number(number)
    },
    check: accept,
  })
}

/** A double: a number, or the text `NaN`, `Infinity`, `-Infinity`, or of a number. */
export function double(): Field<number, false> {
  return optional({
    parse: (value, path, reading) => {
      if (typeof value === 'number') return value
      if (typeof value === 'bigint') return Number(value)
      if (typeof value === 'string' && /^(NaN|-?Infinity|[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?)$/.test(value)) {
        return Number(value)
      }
      throw wrong(path, reading)
    },
    check: accept,
  })
}

/** A boolean; in a query, `True` and `False` in any case. */
export function flag(): Field<boolean, false> {
  return optional({
    parse: (value, path, reading) => {
      if (typeof value === 'boolean') return value
      const folded = typeof value === 'string' ? value.toLowerCase() : undefined
      if (folded === 'true' || folded === 'false') return folded === 'true'
      throw wrong(path, reading)
    },
    check: accept,
  })
}

/** One of `names`, as its name or as the number that the protocol gives it. */
export function choice<const N extends string>(numbers: Readonly<Record<N, number>>): Field<N, false> {
  const names = Object.keys(numbers) as N[] // keys of the literal record
  return optional({
    parse: (value, path, reading) => {
      const asked = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value
      const found = names.find((name) => name === asked || numbers[name] === asked)
      if (found === undefined) throw wrong(path, reading)
      return found
    },
    check: accept,
  })
}

export function list<T>(item: Field<T>, limits: { max: number }): Field<T[], false> {
  return optional({
    parse: (value, path, reading) => {
      const items = reading.query && !Array.isArray(value) ? [value] : value
      if (!Array.isArray(items) || items.length > limits.max) throw wrong(path, reading)
      return items.map((one, index) => {
        if (one === null || one === undefined) throw wrong(`${path}[${index}]`, reading)
        return item.parse(one, `${path}[${index}]`, reading)
      })
    },
    check: (items, path) => {
      items.forEach((one, index) => {
        item.check(one, `${path}[${index}]`)
      })
    },
  })
}

export function record<F extends Fields>(fields: F): Field<Parsed<F>, false> {
  return optional({
    parse: (value, path, reading) => {
      if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong(path, reading)
      return parseMembers(fields, value as Record<string, unknown>, `${path}.`, reading)
    },
    check: (value, path) => checkMembers(fields, value, `${path}.`),
  })
}

function parseMembers<F extends Fields>(fields: F, given: Record<string, unknown>, prefix: string, reading: Reading) {
  const parsed: Record<string, unknown> = {}
  for (const [name, field] of Object.entries(fields)) {
    const value = Object.hasOwn(given, name) ? given[name] : undefined
    if (value !== null && value !== undefined) parsed[name] = field.parse(value, `${prefix}${name}`, reading)
  }
  return parsed as Parsed<F> // each member was read by its own field
}

function checkMembers<F extends Fields>(fields: F, parsed: Parsed<F>, prefix: string): void {
  for (const [name, field] of Object.entries(fields)) {
    const value = parsed[name]
    if (field.required && (value === undefined || value === '')) throw lacking(`${prefix}${name}`)
  }
  for (const [name, field] of Object.entries(fields)) {
    const value = parsed[name]
    if (value !== undefined) field.check(value, `${prefix}${name}`)
  }
}

/** Reads a request: types first, then what is required, then limits. `run_uuid` stands for an absent `run_id`. */
export function readFields<F extends Fields>(fields: F, given: Record<string, unknown>, reading: Reading): Parsed<F> {
  const known =
    'run_id' in fields && (given['run_id'] ?? null) === null && (given['run_uuid'] ?? null) !== null
      ? { ...given, run_id: given['run_uuid'] }
      : given
  const parsed = parseMembers(fields, known, '', reading)
  checkMembers(fields, parsed, '')
  return parsed
}
