import type { Clock } from '../kernel/clock.ts'
import { countText } from '../kernel/count-text.ts'
import { PlimsollError } from '../kernel/errors.ts'
import { decodeTensors, encodeJsonFrame, encodeTensorFrame, OPERATIONS, readJson, type TensorPart } from './frame.ts'
import { failureOf } from './host-failure.ts'
import type { HostProcess } from './host-process.ts'
import {
  allocateData,
  type Datatype,
  elementCount,
  halfBits,
  halvesOf,
  type ModelInterface,
  type Tensor,
  type TensorData,
  type TensorSpec,
} from './tensor.ts'

/** Size taken for a varying dimension other than the batch. */
const FREE_DIM = 2
const ELEMENTS_MAX = 16 * 1024 * 1024
/**
 * Sizes of synthetic values. A model may treat large ones otherwise than small ones, and its rows influence each other
 * only then; rounding tells more of itself among large values of either sign.
 */
const SPANS = [
  { span: 1, tolerance: 1e-5 },
  { span: 1_000, tolerance: 1e-3 },
  { span: 1_000_000, tolerance: 1e-3 },
] as const
type Span = (typeof SPANS)[number]
/** Half precision has 11 bits. @source IEEE 754-2019, binary16 */
const HALF_TOLERANCE = 2e-3
const TIMED_ROWS = [16, 64]

export interface ProbeResult {
  readonly interface: ModelInterface
  /** Timed runs that seed the cost model. */
  readonly timings: readonly { rows: number; ms: number }[]
  /** Why the model is never batched; absent when it is. */
  readonly unbatchedBecause?: string
}

interface Specs {
  readonly inputs: TensorSpec[]
  readonly outputs: TensorSpec[]
}

export function encodeLoad(session: number, model: { digest: string; path: string }): Buffer {
  return encodeJsonFrame({ request: 0, session, operation: OPERATIONS.load, micros: 0 }, model)
}

export async function loadSpecs(host: HostProcess, model: { digest: string; path: string }): Promise<Specs> {
  const answer = await host.ask(encodeLoad(1, model))
  const failure = failureOf(answer, 'load')
  if (failure) throw failure
  return readJson(answer) as Specs // written by our own host
}

/**
 * Runs a model on synthetic rows to learn whether its rows are independent (then it may be batched), the true rank of
 * its outputs, and what a run costs. Cross-row operators would leak one caller's data into another's answer.
 */
export async function probeModel(options: {
  host: HostProcess
  specs: Specs
  maxBatchRows: number
  clock: Clock
}): Promise<ProbeResult> {
  const { host, specs, maxBatchRows, clock } = options
  const run = createRunner(host, specs, clock)
  const isCandidate = [...specs.inputs].every((spec) => spec.shape[0] === -1) && specs.inputs.length > 0
  const one = await run(rowsOf(specs, [0], isCandidate))
  if (one instanceof PlimsollError) {
    return {
      interface: { ...specs, maxBatchSize: 0 },
      timings: [],
      unbatchedBecause: `it refuses synthetic rows: ${one.message}`,
    }
  }
  const timings = [{ rows: 1, ms: one.ms }]
  const again = await run(rowsOf(specs, [0], isCandidate))
  if (!(again instanceof PlimsollError)) timings[0] = { rows: 1, ms: again.ms }
  const because = isCandidate ? await findDependence(run, specs, one.outputs) : 'an input has a fixed first dimension'
  const outputs = refineOutputs(specs.outputs, one.outputs, because === undefined)
  if (because !== undefined) {
    return { interface: { inputs: specs.inputs, outputs, maxBatchSize: 0 }, timings, unbatchedBecause: because }
  }
  for (const rows of TIMED_ROWS) {
    if (rows > maxBatchRows) break
    const timed = await run(
      rowsOf(
        specs,
        Array.from({ length: rows }, (_, row) => row),
        true,
      ),
    )
    if (timed instanceof PlimsollError) break
    timings.push({ rows, ms: timed.ms })
  }
  return { interface: { inputs: specs.inputs, outputs, maxBatchSize: maxBatchRows }, timings }
}

type Outcome = { outputs: Tensor[]; ms: number } | PlimsollError
type Run = (inputs: Tensor[]) => Promise<Outcome>

function createRunner(host: HostProcess, specs: Specs, clock: Clock): Run {
  const all = Uint16Array.from(specs.outputs.keys())
  return async (inputs) => {
    const parts: TensorPart[] = [{ datatype: 'UINT16', index: 0, shape: [all.length], chunks: [all] }]
    for (const [index, input] of inputs.entries()) {
      parts.push({ datatype: input.datatype, index: index + 1, shape: input.shape, chunks: [input.data] })
    }
    const startMs = clock.monotonicMs()
    const answer = await host.ask(
      encodeTensorFrame({ request: 0, session: 1, operation: OPERATIONS.run, micros: 0 }, parts),
    )
    const ms = clock.monotonicMs() - startMs
    return failureOf(answer, 'run') ?? { outputs: decodeTensors(answer, specs.outputs), ms }
  }
}

/** A reproducible value from 0 to 1 for one element, different between rows. */
function syntheticValue(row: number, element: number): number {
  const mixed = Math.imul((row + 1) * 0x9e3779b1 + (element + 1) * 0x85ebca6b, 0xc2b2ae35) >>> 8
  return (mixed % 4096) / 4096
}

/** Whole numbers may be sizes or counts, whose cost grows with them. */
const INTEGER_MAX = 100
const HALF_MAX = 65_504

/** One element: from 0 to 1 in the first span, of either sign where the datatype has one in the others. */
function element(datatype: Datatype, unit: number, { span }: Span): number | bigint | string {
  const isSmall = span === 1
  switch (datatype) {
    case 'BYTES':
      return isSmall ? (unit < 0.5 ? 'a' : 'b') : String(Math.floor(unit * span))
    case 'FP32':
    case 'FP64':
      return isSmall ? unit : (2 * unit - 1) * span
    case 'FP16':
      return halfBits(isSmall ? unit : (2 * unit - 1) * Math.min(span, HALF_MAX))
    default: {
      const most = datatype === 'BOOL' ? 1 : Math.min(span, INTEGER_MAX)
      const whole = isSmall || !datatype.startsWith('INT') ? Math.round(unit * most) : Math.round((2 * unit - 1) * most)
      return datatype.endsWith('64') ? BigInt(whole) : whole
    }
  }
}

function fill(
  tensor: { data: TensorData; datatype: Datatype },
  at: { offset: number; width: number; row: number },
  span: Span,
) {
  const data = tensor.data as (number | bigint | string)[] // `element` gives what the datatype holds
  for (let index = 0; index < at.width; index++)
    data[at.offset + index] = element(tensor.datatype, syntheticValue(at.row, index), span)
}

function rowsOf(specs: Specs, rows: readonly number[], hasBatch: boolean, span: Span = SPANS[0]): Tensor[] {
  return specs.inputs.map((spec) => {
    const shape = spec.shape.map((dim, axis) => (dim !== -1 ? dim : axis === 0 && hasBatch ? rows.length : FREE_DIM))
    const count = elementCount(shape)
    if (count === undefined || count > ELEMENTS_MAX) {
      throw new PlimsollError(
        'too_large',
        'inference.input_too_large',
        `Cannot probe the model: input "${spec.name}" has shape [${spec.shape}]`,
      )
    }
    const data = allocateData(spec.datatype, count)
    const width = rows.length === 0 ? 0 : count / rows.length
    for (const [position, row] of rows.entries())
      fill({ data, datatype: spec.datatype }, { offset: position * width, width, row }, span)
    return { name: spec.name, datatype: spec.datatype, shape, data }
  })
}

const ROWS = 3
const ORDERS = [
  [0, 1],
  [0, 1, 2],
  [2, 0, 1],
] as const

/** Why rows are not independent; undefined when nothing that was tried shows it. */
async function findDependence(run: Run, specs: Specs, first: Tensor[]): Promise<string | undefined> {
  const small = await findDependenceAt(SPANS[0], run, specs, first)
  if (small !== undefined) return small
  for (const span of SPANS.slice(1)) {
    try {
      const because = await findDependenceAt(span, run, specs)
      if (because !== undefined) return because
    } catch {
      return `its host does not survive values of ${span.span}` // it may well be a size, and nobody sends it that large
    }
  }
  return undefined
}

async function findDependenceAt(span: Span, run: Run, specs: Specs, first?: Tensor[]): Promise<string | undefined> {
  const singles = first ? [first] : []
  for (let row = singles.length; row < ROWS; row++) {
    const single = await run(rowsOf(specs, [row], true, span))
    if (single instanceof PlimsollError) {
      // An index that is out of range, say: nothing is learnt of values that the model does not take.
      return span === SPANS[0] ? `it refuses one row: ${single.message}` : undefined
    }
    singles.push(single.outputs)
  }
  for (const order of span === SPANS[0] ? ORDERS : ORDERS.slice(-1)) {
    const many = await run(rowsOf(specs, order, true, span))
    if (many instanceof PlimsollError) return `it refuses ${countText(order.length, 'row')}: ${many.message}`
    const because = compareRows({ many: many.outputs, order, singles, tolerance: span.tolerance })
    if (because) return because
  }
  return undefined
}

function compareRows(given: {
  many: Tensor[]
  order: readonly number[]
  singles: Tensor[][]
  tolerance: number
}): string | undefined {
  const { many, order, singles } = given
  for (const [index, output] of many.entries()) {
    const alone = order.map((row) => singles[row]![index])
    if (output.shape[0] !== order.length || alone.some((one) => one?.shape[0] !== 1))
      return `output "${output.name}" does not have one entry per row`
    const expected = alone.flatMap((one) => valuesOf(one!))
    const found = valuesOf(output)
    if (found.length !== expected.length) return `output "${output.name}" changes its size with the rows`
    const tolerance = toleranceOf(output.datatype, given.tolerance) * scaleOf(expected)
    if (found.some((value, at) => !isClose(value, expected[at], tolerance)))
      return `rows influence each other in output "${output.name}"`
  }
  return undefined
}

type Value = number | bigint | string

function valuesOf({ datatype, data }: Tensor): Value[] {
  return [...(datatype === 'FP16' ? halvesOf(data as Uint16Array) : data)] // raw halves
}

/** Whole numbers and texts are equal or not; what is computed in another order is rounded otherwise. */
function toleranceOf(datatype: Datatype, tolerance: number): number {
  return datatype === 'FP16'
    ? Math.max(HALF_TOLERANCE, tolerance)
    : datatype === 'FP32' || datatype === 'FP64'
      ? tolerance
      : 0
}

/** The greatest finite magnitude: outputs that are small altogether are compared as finely as others. */
function scaleOf(values: readonly Value[]): number {
  return values.reduce<number>(
    (most, value) => (typeof value === 'number' && Number.isFinite(value) ? Math.max(most, Math.abs(value)) : most),
    0,
  )
}

function isClose(a: Value | undefined, b: Value | undefined, tolerance: number): boolean {
  if (Object.is(a, b) || a === b) return true
  return typeof a === 'number' && typeof b === 'number' && Math.abs(a - b) <= tolerance
}

/** The runtime gives an output of unknown rank as []; what a run showed says more. */
function refineOutputs(specs: readonly TensorSpec[], seen: readonly Tensor[], isBatched: boolean): TensorSpec[] {
  return specs.map((spec, index) => {
    const shown = seen[index]?.shape ?? []
    const shape = spec.shape.length === 0 && shown.length > 0 ? shown.map(() => -1) : [...spec.shape]
    if (isBatched && shape.length > 0) shape[0] = -1
    return { ...spec, shape }
  })
}
