import { elementCount, halvesOf, type Tensor, type TensorData } from '../../inference/index.ts'
import { countText } from '../../kernel/count-text.ts'
import { ERROR_KINDS, PlimsollError, toPlimsollError } from '../../kernel/errors.ts'
import { clipText, errorHeaders, problemOf, shownFaults } from '../../kernel/http/problem.ts'

export type CellValue = number | string | boolean | null

/** FP16 travels as raw bits: here they are numbers. */
function readable({ data, datatype }: Tensor): TensorData | Float16Array {
  return datatype === 'FP16' && data instanceof Uint16Array ? halvesOf(data) : data
}

/** Elements of one tensor as JSON can carry them: NaN and infinities become null, int64 beyond 2^53 text. */
export function jsonElements(tensor: Tensor, from: number, to: number): CellValue[] {
  const data = readable(tensor)
  const values: CellValue[] = []
  for (let index = from; index < to; index++) {
    const value: number | bigint | string | undefined = data[index]
    if (typeof value === 'bigint')
      values.push(value >= -9007199254740991n && value <= 9007199254740991n ? Number(value) : value.toString())
    else if (typeof value === 'number')
      values.push(tensor.datatype === 'BOOL' ? value !== 0 : Number.isFinite(value) ? value : null)
    else values.push(value ?? null)
  }
  return values
}

/** @throws unsupported serving.output_without_rows where an output's first dimension is not the rows: none of it belongs to one row */
export function demandRows(outputs: readonly Tensor[], rows: number): void {
  for (const { name, shape } of outputs) {
    if (shape[0] === rows) continue
    throw new PlimsollError(
      'unsupported',
      'serving.output_without_rows',
      `Cannot answer by row: the model gave "${name}" of shape [${shape}] for ${countText(rows, 'row')}`,
      { action: 'Ask for its tensors at /v2/models/<route>/infer, or serve a model whose outputs begin with the rows' },
    )
  }
}

/** Value of one output, which has the rows, for one row: a scalar when the row has one element, else a flat list. */
export function rowValue(tensor: Tensor, row: number, rows: number): CellValue | CellValue[] {
  const width = rows === 0 ? 0 : (elementCount(tensor.shape) ?? 0) / rows
  const values = jsonElements(tensor, row * width, (row + 1) * width)
  return values.length === 1 ? values[0]! : values
}

export interface Answer {
  status: number
  headers: Record<string, string>
  body: string | Uint8Array
}

function answerHeaders(error: PlimsollError): Record<string, string> {
  const headers = errorHeaders(error)
  const { accept } = error.details
  if (typeof accept === 'string') headers['accept-encoding'] = accept
  return headers
}

/** Statuses of HTTP itself, which are those of one error each. */
const HTTP_STATUSES: Readonly<Record<string, number>> = { 'serving.bad_expectation': 417 }

function statusOf({ code, kind }: PlimsollError): number {
  return HTTP_STATUSES[code] ?? ERROR_KINDS[kind].status
}

/** RFC 9457 problem JSON, for the routes of our own. */
export function problemAnswer(thrown: unknown, requestId: string): Answer {
  const error = toPlimsollError(thrown)
  const status = statusOf(error)
  return {
    status,
    headers: { 'content-type': 'application/problem+json', ...answerHeaders(error) },
    body: JSON.stringify({ ...problemOf(error, requestId), status }),
  }
}

/** The message, then each fault that it does not say itself. */
function oipText({ message, details }: PlimsollError): string {
  const faults = shownFaults(details.faults ?? [])
  const untold = faults.filter(({ detail }) => !message.includes(detail))
  if (untold.length === 0) return clipText(message)
  const told = untold.map(({ pointer, detail }) => `${pointer} ${detail}`.trim()).join('; ')
  return `${clipText(message)}${untold.length < faults.length ? '; ' : ': '}${told}`
}

/** The protocol's error shape. The content type is exactly `application/json`: a client compares it with `==`. */
export function oipErrorAnswer(thrown: unknown, requestId: string): Answer {
  const error = toPlimsollError(thrown)
  const text = error.kind === 'internal' ? `Internal error, request ${requestId}` : oipText(error)
  return {
    status: statusOf(error),
    headers: { 'content-type': 'application/json', ...answerHeaders(error) },
    body: JSON.stringify({ error: text, code: error.code, request_id: requestId }),
  }
}

export function jsonAnswer(value: unknown, status = 200): Answer {
  return { status, headers: { 'content-type': 'application/json' }, body: JSON.stringify(value) }
}
