import { PlimsollError } from '../../kernel/errors.ts'

function refuse(detail: string, pointer = ''): never {
  throw new PlimsollError('invalid', 'serving.bad_rows', `Cannot read the rows: ${detail}`, {
    faults: [{ pointer, detail }],
  })
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Rows, and where in the body that was sent what a pointer `/rows/N/NAME` leads to. */
export interface ReadRows {
  readonly rows: unknown[]
  readonly place: (pointer: string) => string
}

const ROW = /^\/rows\/(\d+)(?:\/(.*))?$/s

function readRows(rows: unknown[], placeOf: (row: string, name: string | undefined) => string): ReadRows {
  return {
    rows,
    place: (pointer) => {
      const [, row, name] = ROW.exec(pointer) ?? []
      return row === undefined ? pointer : placeOf(row, name)
    },
  }
}

const below = (name: string | undefined) => (name === undefined ? '' : `/${name}`)

/** Rows of `/predict`: `{"rows": [{…}]}`, or one row as an object of its own. */
export function rowsOfPredict(body: unknown): ReadRows {
  if (!isObject(body)) refuse('expected {"rows": [{…}]} or one row as an object')
  if (!Object.hasOwn(body, 'rows')) return readRows([body], (_, name) => below(name))
  const extra = Object.keys(body).filter((key) => key !== 'rows')
  if (extra.length > 0) refuse(`unknown member ${extra.join(', ')} beside rows`, `/${extra[0]}`)
  if (!Array.isArray(body['rows'])) refuse('expected an array', '/rows')
  return readRows(body['rows'], (row, name) => `/rows/${row}${below(name)}`)
}

function fromSplit(split: unknown, pointer: string): ReadRows {
  if (!isObject(split) || !Array.isArray(split['columns']) || !Array.isArray(split['data']))
    refuse('expected {"columns": […], "data": [[…]]}', pointer)
  const columns = split['columns'] as unknown[]
  if (new Set(columns.map(String)).size < columns.length) refuse('a column is named twice', `${pointer}/columns`)
  const rows = split['data'].map((cells: unknown, index: number) => {
    if (!Array.isArray(cells) || cells.length !== columns.length)
      refuse(`row ${index} has not ${columns.length} cells`, `${pointer}/data/${index}`)
    return Object.fromEntries(columns.map((name, column) => [String(name), cells[column]]))
  })
  return readRows(rows, (row, name) => {
    const column = columns.findIndex((one) => String(one) === name)
    return column === -1 ? `${pointer}/columns` : `${pointer}/data/${row}/${column}`
  })
}

function fromColumns(inputs: Record<string, unknown>): ReadRows {
  const names = Object.keys(inputs)
  const first = inputs[names[0] ?? '']
  if (!Array.isArray(first)) return readRows([inputs], (_, name) => `/inputs${below(name)}`)
  const rows = first.map((_, index) =>
    Object.fromEntries(
      names.map((name) => {
        const column = inputs[name]
        if (!Array.isArray(column) || column.length !== first.length)
          refuse(`column ${name} has not ${first.length} cells`, `/inputs/${name}`)
        return [name, column[index] as unknown]
      }),
    ),
  )
  return readRows(rows, (row, name) => {
    if (name === undefined || !Object.hasOwn(inputs, name)) return '/inputs'
    return `/inputs/${name}/${row}`
  })
}

const MLFLOW_KEYS = ['dataframe_split', 'dataframe_records', 'instances', 'inputs'] as const

/**
 * Rows of MLflow's `/invocations`: exactly one of `dataframe_split`, `dataframe_records`, `instances`, `inputs`.
 * @source mlflow, "Deploy MLflow Model as a Local Inference Server", accepted input formats
 */
export function rowsOfInvocations(body: unknown): ReadRows {
  if (!isObject(body)) refuse('expected an object')
  const given = MLFLOW_KEYS.filter((key) => Object.hasOwn(body, key))
  if (given.length !== 1) refuse(`expected exactly one of ${MLFLOW_KEYS.join(', ')}`)
  const key = given[0]!
  const value = body[key]
  if (key === 'dataframe_split') return fromSplit(value, '/dataframe_split')
  if (key === 'inputs' && isObject(value)) return fromColumns(value)
  if (!Array.isArray(value)) refuse('expected an array', `/${key}`)
  const nameless = value.findIndex((row) => Array.isArray(row))
  if (nameless !== -1)
    refuse('expected an object: cells without names go in dataframe_split, with its columns', `/${key}/${nameless}`)
  return readRows(value, (row, name) => `/${key}/${row}${below(name)}`)
}
