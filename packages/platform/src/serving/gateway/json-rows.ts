import { type Fault, PlimsollError, pointerOf } from '../../kernel/errors.ts'

function refuse(detail: string, pointer = ''): never {
  throw new PlimsollError('invalid', 'serving.bad_rows', `Cannot read the rows: ${detail}`, {
    faults: [{ pointer, detail }],
  })
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Rows, and a fault at `/rows` or `/rows/N/NAME` as one of the body that was sent. */
export interface ReadRows {
  readonly rows: unknown[]
  readonly place: (fault: Fault) => Fault
}

const ROW = /^\/rows(?:\/(\d+)(?:\/(.*))?)?$/s

/** `all` is where the rows are; `placeOf` says where a value is, or what is said of one that was not sent. */
function readRows(
  rows: unknown[],
  all: string,
  placeOf: (row: string, name: string | undefined) => string | Absent,
): ReadRows {
  return {
    rows,
    place: ({ pointer, detail }) => {
      const [found, row, part] = ROW.exec(pointer) ?? []
      const name = part?.replaceAll('~1', '/').replaceAll('~0', '~')
      const place = found === undefined ? pointer : row === undefined ? all : placeOf(row, name)
      return typeof place === 'string'
        ? { pointer: place, detail }
        : { pointer: place.pointer, detail: `${place.what} ${detail}` }
    },
  }
}

/** A value without a place of its own: what would hold it, and how it is called there. */
interface Absent {
  readonly pointer: string
  readonly what: string
}

const below = (name: string | undefined) => (name === undefined ? '' : pointerOf([name]))

/** Rows of `/predict`: `{"rows": [{…}]}`, or one row as an object of its own. */
export function rowsOfPredict(body: unknown): ReadRows {
  if (!isObject(body)) refuse('expected {"rows": [{…}]} or one row as an object')
  if (!Object.hasOwn(body, 'rows')) return readRows([body], '', (_, name) => below(name))
  const extra = Object.keys(body).filter((key) => key !== 'rows')
  if (extra.length > 0) refuse(`unknown member ${extra.join(', ')} beside rows`, `/${extra[0]}`)
  if (!Array.isArray(body['rows'])) refuse('expected an array', '/rows')
  return readRows(body['rows'], '/rows', (row, name) => `/rows/${row}${below(name)}`)
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
  return readRows(rows, `${pointer}/data`, (row, name) => {
    const column = columns.findIndex((one) => String(one) === name)
    const at = `${pointer}/data/${row}`
    return column === -1 ? { pointer: at, what: name ?? 'it' } : `${at}/${column}`
  })
}

function fromColumns(inputs: Record<string, unknown>): ReadRows {
  const names = Object.keys(inputs)
  const first = inputs[names[0] ?? '']
  if (!Array.isArray(first)) return readRows([inputs], '/inputs', (_, name) => `/inputs${below(name)}`)
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
  return readRows(rows, '/inputs', (row, name) =>
    name !== undefined && Object.hasOwn(inputs, name)
      ? pointerOf(['inputs', name, row])
      : { pointer: '/inputs', what: name === undefined ? `row ${row}` : `${name} of row ${row}` },
  )
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
  return readRows(value, `/${key}`, (row, name) => `/${key}/${row}${below(name)}`)
}
