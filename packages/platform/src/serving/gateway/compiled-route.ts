import { type FeatureMapping, type ServedInput, type ServedRoute, shownValue } from '@plimsoll/sdk/wire'
import {
  allocateData,
  type Datatype,
  halfBits,
  isMatrixOf,
  type ModelInterface,
  rowBounds,
  rowsFault,
  type Tensor,
  type TensorData,
  textFault,
} from '../../inference/index.ts'
import { countText } from '../../kernel/count-text.ts'
import { type Fault, PlimsollError, pointerOf, refuseFaults } from '../../kernel/errors.ts'
import { parseDay, parseInstant } from '../../kernel/instant.ts'
import { localTimePart } from './local-time.ts'

/** Looks the features of one row up by its inputs. `values[i]` belongs to `names[i]`; NaN where there is none. */
export interface FeatureLookup {
  readonly names: readonly string[]
  lookup(
    inputs: Readonly<Record<string, unknown>>,
    nowUs: bigint,
  ): { values: ArrayLike<number>; statuses: readonly string[] }
}

export interface PreparedRows {
  readonly rows: number
  readonly tensors: Tensor[]
  /** Checked inputs of each row, for the sampled payload. */
  readonly inputs: readonly Readonly<Record<string, unknown>>[]
  readonly features: readonly { values: ArrayLike<number>; statuses: readonly string[] }[]
  /** Features of the version that have no value, the first 64; what is known to be null is none of them. */
  readonly missing: readonly MissingFeature[]
}

export interface MissingFeature {
  readonly row: number
  readonly feature: string
  readonly status: string
}

const MISSING_MAX = 64
const HAD = new Set(['PRESENT', 'NULL_VALUE'])

function missingOf(
  looked: PreparedRows['features'],
  names: readonly string[],
  wanted: ReadonlySet<string>,
): MissingFeature[] {
  const missing: MissingFeature[] = []
  for (const [row, { values, statuses }] of looked.entries())
    for (let at = 0; at < statuses.length && missing.length < MISSING_MAX; at++)
      // A count of an unknown entity is 0, and not missing.
      if (!HAD.has(statuses[at]!) && Number.isNaN(values[at]) && wanted.has(names[at]!))
        missing.push({ row, feature: names[at]!, status: statuses[at]! })
  return missing
}

const INT_RANGES: Record<string, [number, number]> = {
  int32: [-2147483648, 2147483647],
  int64: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
}
const TEXT_CHARS_MAX = 4_096
const FAULTS_MAX = 100

/** Why a value does not fit its declared type, or undefined when it does. */
function faultOf(type: string, value: unknown): string | undefined {
  const fault = mismatchOf(type, value)
  return fault?.startsWith('expected ') ? `${fault}, found ${shownValue(value)}` : fault
}

function mismatchOf(type: string, value: unknown): string | undefined {
  switch (type) {
    case 'text':
    case 'bytes': {
      if (typeof value !== 'string') return 'expected text'
      if (value.length > TEXT_CHARS_MAX) return `longer than ${TEXT_CHARS_MAX} characters`
      const fault = textFault(value)
      return fault && `is a text ${fault}`
    }
    case 'boolean':
      return typeof value === 'boolean' ? undefined : 'expected true or false'
    case 'timestamp':
    case 'date':
      if (typeof value === 'string' && !Number.isNaN(instantMs(type, value))) return undefined
      return type === 'date'
        ? 'expected a day of the calendar, for example 2001-04-01'
        : 'expected an RFC 3339 time with a zone, for example 2001-04-01T12:30:00Z'
    case 'int32':
    case 'int64': {
      const [low, high] = INT_RANGES[type]!
      return typeof value === 'number' && Number.isInteger(value) && value >= low && value <= high
        ? undefined
        : `expected an integer of type ${type}`
    }
    default:
      return Number.isFinite(value) ? undefined : 'expected a finite number'
  }
}

/** A day, which pandas writes with the time of its beginning. */
const DATE = /^(\d{4}-\d{2}-\d{2})(?:[T ]00:00:00(?:\.0+)?(?:Z|\+00:00)?)?$/

/** Unix time in milliseconds of a timestamp, or of the beginning of a date in UTC; NaN where the text is none. */
function instantMs(type: string, value: string): number {
  const ms = type === 'date' ? parseDay(DATE.exec(value)?.[1] ?? '') : parseInstant(value)
  return ms ?? Number.NaN
}

interface NamedColumn {
  readonly name: string
  /** Undefined where it takes none. */
  readonly feature: string | undefined
  readonly read: Column
}

/** Columns that one version takes, found once. */
interface Taken {
  readonly names: readonly string[]
  readonly columns: readonly NamedColumn[]
  readonly features: ReadonlySet<string>
}

function takenOf(columns: readonly NamedColumn[], stated: readonly string[] | null): Taken {
  const byName = new Map(columns.map((column) => [column.name, column]))
  const missing = (stated ?? []).filter((name) => !byName.has(name))
  if (missing.length > 0)
    throw new PlimsollError(
      'invalid',
      'serving.columns_mismatch',
      `Cannot fill the model's columns: the route lacks ${missing.join(', ')}`,
    )
  const taken = stated === null ? columns : stated.map((name) => byName.get(name)!)
  return {
    names: taken.map(({ name }) => name),
    columns: taken,
    features: new Set(taken.flatMap(({ feature }) => (feature === undefined ? [] : [feature]))),
  }
}

type Column = (row: Readonly<Record<string, unknown>>, features: ArrayLike<number>) => number | string

function compileColumn(
  source: FeatureMapping,
  featureIndex: ReadonlyMap<string, number>,
  column: string,
  inputs: Readonly<Record<string, ServedInput>>,
): Column {
  switch (source.from) {
    case 'input': {
      const { input } = source
      const type = inputs[input]!.type
      if (type === 'timestamp' || type === 'date')
        return (row) => (row[input] == null ? Number.NaN : instantMs(type, row[input] as string))
      return (row) => {
        const value = row[input]
        return value == null ? Number.NaN : typeof value === 'boolean' ? Number(value) : (value as number | string) // checked by faultOf
      }
    }
    case 'feature': {
      const index = featureIndex.get(source.feature)
      if (index === undefined)
        throw new PlimsollError(
          'invalid',
          'serving.unknown_feature',
          `Cannot compile the route: column ${column} needs feature ${source.feature}, which its service does not have`,
        )
      return (_row, features) => features[index] ?? Number.NaN
    }
    case 'time': {
      const { input, part, zone, zoneOf } = source
      const { type } = inputs[input]!
      return (row) => {
        if (row[input] == null) return Number.NaN
        const at = instantMs(type, row[input] as string)
        try {
          return localTimePart(at, (zoneOf === undefined ? zone : (row[zoneOf] as string | undefined)) ?? 'UTC', part)
        } catch {
          return Number.NaN
        }
      }
    }
  }
}

/** A route made ready for one version's interface: checks rows, looks features up, fills tensors. */
export interface CompiledRoute {
  readonly route: ServedRoute
  /** `stated`: the columns that the version takes, in its order; null for all of the route's. */
  prepare(
    rows: readonly unknown[],
    nowUs: bigint,
    model: ModelInterface,
    stated?: readonly string[] | null,
  ): PreparedRows
}

const NO_FEATURES = { values: [] as readonly number[], statuses: [] as readonly string[] }

/** @throws invalid serving.unknown_feature */
export function compileRoute(route: ServedRoute, features: FeatureLookup | undefined): CompiledRoute {
  const featureIndex = new Map((features?.names ?? []).map((name, index) => [name, index]))
  const columns = route.columns.map((column) => ({
    name: column.name,
    feature: column.source.from === 'feature' ? column.source.feature : undefined,
    read: compileColumn(column.source, featureIndex, column.name, route.inputs),
  }))
  const names = Object.keys(route.inputs)
  // Versions are few, and each keeps its list for as long as its snapshot serves.
  const byVersion = new WeakMap<readonly string[], Taken>()
  const whole = takenOf(columns, null)
  const takenBy = (stated: readonly string[] | null): Taken => {
    if (stated === null) return whole
    const taken = byVersion.get(stated) ?? takenOf(columns, stated)
    byVersion.set(stated, taken)
    return taken
  }

  const checkRow = (row: unknown, index: number, faults: Fault[]): Record<string, unknown> => {
    if (typeof row !== 'object' || row === null || Array.isArray(row)) {
      faults.push({ pointer: `/rows/${index}`, detail: 'expected an object' })
      return {}
    }
    const given = row as Record<string, unknown> // narrowed above
    const checked: Record<string, unknown> = {}
    for (const name of names) {
      if (faults.length >= FAULTS_MAX) break
      const input = route.inputs[name]!
      const value = Object.hasOwn(given, name) ? given[name] : undefined
      const isOptional = 'nullable' in input && input.nullable
      if (value === undefined || value === null) {
        const what = value === null ? 'is null: expected a value of type' : 'is missing: expected'
        if (!isOptional && !('entity' in input))
          faults.push({ pointer: `/rows/${index}/${name}`, detail: `${what} ${input.type}` })
        else if ('entity' in input && value === undefined)
          faults.push({ pointer: `/rows/${index}/${name}`, detail: `is missing: expected the key of ${input.entity}` })
        continue
      }
      const fault = faultOf(input.type, value)
      // What is expected is said of a value that is short, or has its length in the fault.
      if (fault) faults.push({ pointer: `/rows/${index}/${name}`, detail: fault })
      checked[name] = value
    }
    for (const name of Object.keys(given)) {
      if (faults.length >= FAULTS_MAX) break
      if (!Object.hasOwn(route.inputs, name))
        faults.push({
          pointer: pointerOf(['rows', index, name]),
          detail: `is not an input of route ${route.name}: expected ${names.join(', ')}`,
        })
    }
    return checked
  }

  return {
    route,
    prepare(rows, nowUs, model, stated = null) {
      refuseRowCount(rows.length, model)
      const faults: Fault[] = []
      const inputs = rows.map((row, index) => (faults.length < FAULTS_MAX ? checkRow(row, index, faults) : {}))
      refuseFaults(
        'serving.invalid_input',
        `Cannot predict with route ${route.name}: ${faults.length < FAULTS_MAX ? '' : 'at least '}${countText(faults.length, 'fault')} in the input`,
        faults,
      )
      const taken = takenBy(stated)
      const lookup = taken.features.size > 0 ? features : undefined
      const looked = inputs.map((row) => lookup?.lookup(row, nowUs) ?? NO_FEATURES)
      const cells = (row: number, column: number) => taken.columns[column]!.read(inputs[row]!, looked[row]!.values)
      return {
        rows: rows.length,
        inputs,
        features: looked,
        missing: lookup ? missingOf(looked, lookup.names, taken.features) : [],
        tensors: fillTensors(taken.names, rows.length, cells, model),
      }
    },
  }
}

function refuseRowCount(rows: number, model: ModelInterface): void {
  const { min, max } = rowBounds(model)
  if (rows >= min && rows <= max) return
  const fault = rowsFault(model)
  const fixed = fault ?? (min === max ? `takes ${countText(max, 'row')} at a time` : undefined)
  const detail = fixed === undefined ? `expected ${min} to ${max}` : `the model ${fixed}`
  throw new PlimsollError('invalid', 'serving.bad_rows', `Cannot predict ${countText(rows, 'row')}: ${detail}`, {
    faults: [{ pointer: '/rows', detail }],
  })
}

/** One matrix input takes all columns in order; otherwise each column is the input of its name. */
function fillTensors(
  names: readonly string[],
  rows: number,
  cells: (row: number, column: number) => number | string,
  model: ModelInterface,
): Tensor[] {
  const faults: Fault[] = []
  const fill = (data: TensorData, datatype: Datatype, at: { index: number; row: number; column: number }) => {
    const value = cells(at.row, at.column)
    if (setCell(data, datatype, at.index, value) || faults.length >= FAULTS_MAX) return
    const detail = Number.isNaN(value)
      ? `has no value, and the model takes ${datatype}, which cannot say so`
      : `is ${String(value).slice(0, 100)}, which the model's ${datatype} cannot hold`
    faults.push({ pointer: `/rows/${at.row}/${names[at.column]}`, detail })
  }
  const refuse = () => refuseFaults('serving.no_value', 'Cannot predict: columns have no value for the model', faults)
  const only = model.inputs[0]
  if (only && isMatrixOf(model.inputs, names.length)) {
    const data = allocateData(only.datatype, rows * names.length)
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < names.length; column++)
        fill(data, only.datatype, { index: row * names.length + column, row, column })
    refuse()
    return [{ name: only.name, datatype: only.datatype, shape: [rows, names.length], data }]
  }
  const missing = model.inputs.filter((input) => !names.includes(input.name)).map((input) => input.name)
  if (missing.length > 0) {
    throw new PlimsollError(
      'invalid',
      'serving.columns_mismatch',
      `Cannot fill the model's inputs: the route's columns lack ${missing.join(', ')}`,
    )
  }
  const tensors = model.inputs.map((input) => {
    const column = names.indexOf(input.name)
    const data = allocateData(input.datatype, rows)
    for (let row = 0; row < rows; row++) fill(data, input.datatype, { index: row, row, column })
    return { name: input.name, datatype: input.datatype, shape: input.shape.length > 1 ? [rows, 1] : [rows], data }
  })
  refuse()
  return tensors
}

/** Puts a value where it belongs. False when the datatype cannot hold it, or cannot say that there is none. */
function setCell(data: TensorData, datatype: Datatype, index: number, value: number | string): boolean {
  if (typeof value === 'string' && !Array.isArray(data)) return false
  const number = Number(value)
  if (datatype === 'FP16') {
    data[index] = halfBits(number)
    return Number.isFinite(Math.f16round(number)) || !Number.isFinite(number)
  }
  if (datatype === 'FP32' || datatype === 'FP64') {
    data[index] = number
    return Number.isFinite(data[index]) || !Number.isFinite(number)
  }
  if (Number.isNaN(value)) return false
  if (Array.isArray(data)) data[index] = String(value)
  else if (!Number.isInteger(number) || (datatype === 'BOOL' && number !== 0 && number !== 1)) return false
  else if (data instanceof BigInt64Array || data instanceof BigUint64Array) data[index] = BigInt(number)
  else data[index] = number
  return Array.isArray(data) || Number(data[index]) === number
}
