import { PlimsollError } from '../../kernel/errors.ts'

function refuse(detail: string, pointer = ''): never {
  throw new PlimsollError('invalid', 'serving.bad_rows', `Cannot read the rows: ${detail}`, {
    faults: [{ pointer, detail }],
  })
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Rows of `/predict`: `{"rows": [{…}]}`, or one row as an object of its own. */
export function rowsOfPredict(body: unknown): { rows: unknown[]; isSingle: boolean } {
  if (!isObject(body)) refuse('expected {"rows": [{…}]} or one row as an object')
  if (!Object.hasOwn(body, 'rows')) return { rows: [body], isSingle: true }
  const extra = Object.keys(body).filter((key) => key !== 'rows')
  if (extra.length > 0) refuse(`unknown member ${extra.join(', ')} beside rows`, `/${extra[0]}`)
  if (!Array.isArray(body['rows'])) refuse('expected an array', '/rows')
  return { rows: body['rows'], isSingle: false }
}

function fromSplit(split: unknown, pointer: string): unknown[] {
  if (!isObject(split) || !Array.isArray(split['columns']) || !Array.isArray(split['data']))
    refuse('expected {"columns": […], "data": [[…]]}', pointer)
  const columns = split['columns'] as unknown[]
  if (new Set(columns.map(String)).size < columns.length) refuse('a column is named twice', `${pointer}/columns`)
  return split['data'].map((cells: unknown, index: number) => {
    if (!Array.isArray(cells) || cells.length !== columns.length)
      refuse(`row ${index} has not ${columns.length} cells`, `${pointer}/data/${index}`)
    return Object.fromEntries(columns.map((name, column) => [String(name), cells[column]]))
  })
}

function fromColumns(inputs: Record<string, unknown>): unknown[] {
  const names = Object.keys(inputs)
  const first = inputs[names[0] ?? '']
  if (!Array.isArray(first)) return [inputs]
  return first.map((_, index) =>
    Object.fromEntries(
      names.map((name) => {
        const column = inputs[name]
        if (!Array.isArray(column) || column.length !== first.length)
          refuse(`column ${name} has not ${first.length} cells`, `/inputs/${name}`)
        return [name, column[index] as unknown]
      }),
    ),
  )
}

const MLFLOW_KEYS = ['dataframe_split', 'dataframe_records', 'instances', 'inputs'] as const

/**
 * Rows of MLflow's `/invocations`: exactly one of `dataframe_split`, `dataframe_records`, `instances`, `inputs`.
 * @source mlflow, "Deploy MLflow Model as a Local Inference Server", accepted input formats
 */
export function rowsOfInvocations(body: unknown): unknown[] {
  if (!isObject(body)) refuse('expected an object')
  const given = MLFLOW_KEYS.filter((key) => Object.hasOwn(body, key))
  if (given.length !== 1) refuse(`expected exactly one of ${MLFLOW_KEYS.join(', ')}`)
  const key = given[0]!
  const value = body[key]
  if (key === 'dataframe_split') return fromSplit(value, '/dataframe_split')
  if (key === 'inputs' && isObject(value)) return fromColumns(value)
  if (!Array.isArray(value)) refuse('expected an array', `/${key}`)
  return value
}
