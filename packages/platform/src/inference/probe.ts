import type { Clock } from '../kernel/clock.ts'
import { countText } from '../kernel/count-text.ts'
import { PlimsollError } from '../kernel/errors.ts'
import { decodeTensors, encodeJsonFrame, encodeTensorFrame, OPERATIONS, readJson, type TensorPart } from './frame.ts'
import { failureOf } from './host-failure.ts'
import type { HostProcess } from './host-process.ts'
import {
  allocateData,
  elementCount,
  type ModelInterface,
  type Tensor,
  type TensorData,
  type TensorSpec,
} from './tensor.ts'

/** Size taken for a varying dimension other than the batch. */
const FREE_DIM = 2
const ELEMENTS_MAX = 16 * 1024 * 1024
const TOLERANCE = 1e-5
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

/** A reproducible value for one element: small, positive, different between rows. */
function syntheticValue(row: number, element: number): number {
  const mixed = Math.imul((row + 1) * 0x9e3779b1 + (element + 1) * 0x85ebca6b, 0xc2b2ae35) >>> 8
  return (mixed % 4096) / 4096
}

function fill(data: TensorData, offset: number, width: number, row: number): void {
  for (let element = 0; element < width; element++) {
    const value = syntheticValue(row, element)
    if (Array.isArray(data)) data[offset + element] = value < 0.5 ? 'a' : 'b'
    else if (data instanceof BigInt64Array || data instanceof BigUint64Array)
      data[offset + element] = value < 0.5 ? 0n : 1n
    else if (data instanceof Float32Array || data instanceof Float64Array) data[offset + element] = value
    else data[offset + element] = value < 0.5 ? 0 : 1
  }
}

function rowsOf(specs: Specs, rows: readonly number[], hasBatch: boolean): Tensor[] {
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
    for (const [position, row] of rows.entries()) fill(data, position * width, width, row)
    return { name: spec.name, datatype: spec.datatype, shape, data }
  })
}

async function findDependence(run: Run, specs: Specs, first: Tensor[]): Promise<string | undefined> {
  const singles = [first]
  for (const row of [1, 2]) {
    const single = await run(rowsOf(specs, [row], true))
    if (single instanceof PlimsollError) return `it refuses one row: ${single.message}`
    singles.push(single.outputs)
  }
  for (const order of [
    [0, 1],
    [0, 1, 2],
    [2, 0, 1],
  ]) {
    const many = await run(rowsOf(specs, order, true))
    if (many instanceof PlimsollError) return `it refuses ${countText(order.length, 'row')}: ${many.message}`
    for (const [position, row] of order.entries()) {
      const because = compareRow({ many: many.outputs, position, rows: order.length, single: singles[row] ?? [] })
      if (because) return because
    }
  }
  return undefined
}

function compareRow(given: { many: Tensor[]; position: number; rows: number; single: Tensor[] }): string | undefined {
  for (const [index, output] of given.many.entries()) {
    const alone = given.single[index]
    if (output.shape[0] !== given.rows || alone?.shape[0] !== 1)
      return `output "${output.name}" does not have one entry per row`
    const width = alone.data.length
    if (output.data.length !== width * given.rows) return `output "${output.name}" changes its size with the rows`
    for (let element = 0; element < width; element++) {
      if (!isClose(output.data[given.position * width + element], alone.data[element])) {
        return `rows influence each other in output "${output.name}"`
      }
    }
  }
  return undefined
}

function isClose(a: number | bigint | string | undefined, b: number | bigint | string | undefined): boolean {
  if (typeof a !== 'number' || typeof b !== 'number') return a === b
  if (Object.is(a, b) || a === b) return true
  return Math.abs(a - b) <= TOLERANCE * Math.max(1, Math.abs(a), Math.abs(b))
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
