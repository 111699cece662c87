import type { ModelRuntime, ModelSession, RuntimeTensor } from '@plimsoll/sdk/seams'
import type { Clock } from '../kernel/clock.ts'
import type { Digest } from '../kernel/digest.ts'
import { type ErrorKind, isPlimsollError, PlimsollError } from '../kernel/errors.ts'
import { openBlockingReader, writeWhole } from './blocking-frame.ts'
import {
  decodeTensors,
  encodeJsonFrame,
  encodeTensorFrame,
  type FrameHeader,
  HOST_FDS,
  OPERATIONS,
  readHeader,
  readJson,
  type TensorPart,
} from './frame.ts'
import { readModelFile } from './model-file.ts'

interface LoadOrder {
  readonly digest: Digest
  readonly path: string
}

export interface HostFailure {
  readonly kind: ErrorKind
  readonly code: string
  readonly message: string
  /** What to do about it. */
  readonly action?: string
}

/** Outputs wanted by a run: positions in the model's output list, sent as a leading UINT16 tensor. */
const OUTPUT_LIST = [{ name: 'outputs', datatype: 'UINT16', shape: [-1] }] as const

/**
 * Serves frames on inherited sockets until their other end closes, then resolves. The pool sends a frame when it has the
 * answer to the one before, and a run blocks its process anyway: reading and writing block too, which spares an event
 * loop's calls per request. Only loading and unloading wait for promises.
 */
export async function serveModelHost(options: { runtime: ModelRuntime; clock: Clock }): Promise<void> {
  const { runtime, clock } = options
  const sessions = new Map<number, ModelSession>()

  const load = async (frame: Buffer, answer: AnswerHeader): Promise<Buffer> => {
    const order = readJson(frame) as LoadOrder // written by our own pool
    const session = await runtime.load({ digest: order.digest, bytes: await readModelFile(order) })
    sessions.set(answer.session, session)
    return encodeJsonFrame(answer, { inputs: session.inputs, outputs: session.outputs })
  }
  const unload = async (answer: AnswerHeader): Promise<Buffer> => {
    await sessions.get(answer.session)?.close()
    sessions.delete(answer.session)
    return encodeJsonFrame(answer, {})
  }
  const handle = (frame: Buffer): Buffer | Promise<Buffer> => {
    const header = readHeader(frame)
    const { request, session } = header
    const answer = { request, session, operation: OPERATIONS.done, micros: 0 }
    switch (header.operation) {
      case OPERATIONS.load:
        return load(frame, answer)
      case OPERATIONS.unload:
        return unload(answer)
      case OPERATIONS.run:
        return runModel({ frame, session: sessions.get(header.session), header: answer, clock })
      default:
        throw new PlimsollError(
          'internal',
          'inference.operation_unknown',
          `Cannot handle operation ${header.operation}`,
        )
    }
  }

  const hello = { runtime: runtime.name, version: runtime.version }
  const read = openBlockingReader(HOST_FDS.frames)
  try {
    writeWhole(
      HOST_FDS.answers,
      encodeJsonFrame({ request: 0, session: 0, operation: OPERATIONS.hello, micros: 0 }, hello),
    )
    for (let frame = read(); frame; frame = read()) {
      let answer: Buffer
      try {
        const done = handle(frame)
        answer = done instanceof Promise ? await done : done
      } catch (thrown) {
        const { request, session } = readHeader(frame)
        answer = encodeJsonFrame({ request, session, operation: OPERATIONS.failed, micros: 0 }, toFailure(thrown))
      }
      writeWhole(HOST_FDS.answers, answer)
    }
  } catch (thrown) {
    const code = (thrown as { code?: unknown } | null)?.code
    if (code !== 'EPIPE' && code !== 'ECONNRESET') throw thrown // the pool is gone
  }
}

type AnswerHeader = FrameHeader & { readonly operation: typeof OPERATIONS.done }

interface RunInput {
  readonly frame: Buffer
  readonly session: ModelSession | undefined
  readonly header: AnswerHeader
  readonly clock: Clock
}

/** How long runs go on one after the other, whatever they were expected to take: who waits for the first waits for all. */
const STARTS_MS_MAX = 5

/**
 * Runs of a frame, one after the other: the outputs of all, in order, or the first one's failure. What did not start in
 * time has none.
 */
function runModel({ frame, session, header, clock }: RunInput): Buffer | Promise<Buffer> {
  if (!session)
    throw new PlimsollError('internal', 'inference.session_unknown', 'Cannot run a model that is not loaded')
  const tensors = decodeTensors(frame, session.inputs.length > 0 ? withList(session) : OUTPUT_LIST)
  const perRun = 1 + session.inputs.length
  const startMs = clock.monotonicMs()
  const parts: TensorPart[] = []
  const finish = () =>
    encodeTensorFrame({ ...header, micros: Math.round((clock.monotonicMs() - startMs) * 1000) }, parts)
  const next = (start: number): Buffer | Promise<Buffer> => {
    for (let at = start; at < tensors.length; at += perRun) {
      if (at > 0 && clock.monotonicMs() - startMs > STARTS_MS_MAX) break
      const indexes = tensors[at]!.data as Uint16Array // the first tensor of a run is always the list
      const wanted = Array.from(indexes, (index) => session.outputs[index]?.name ?? '')
      const inputs = tensors.slice(at + 1, at + perRun)
      const keep = (outputs: readonly RuntimeTensor[]) => {
        // Outputs of several runs are told apart by their number.
        if (outputs.length !== wanted.length)
          throw new PlimsollError(
            'internal',
            'inference.rows_lost',
            `The model gave ${outputs.length} of the ${wanted.length} outputs that were asked for`,
          )
        for (const [position, { datatype, shape, data }] of outputs.entries())
          parts.push({ datatype, index: indexes[position] ?? 0, shape, chunks: [data] })
      }
      if (session.runNow) keep(session.runNow(inputs, wanted))
      else
        return session.run(inputs, wanted).then((outputs) => {
          keep(outputs)
          return next(at + perRun)
        })
    }
    return finish()
  }
  return next(0)
}

const listed = new WeakMap<ModelSession, (typeof OUTPUT_LIST)[number][]>()

/** Names by frame index: 0 is the output list, input i has index i + 1. */
function withList(session: ModelSession) {
  let specs = listed.get(session)
  if (!specs) {
    specs = [...OUTPUT_LIST, ...session.inputs] as (typeof OUTPUT_LIST)[number][] // only names are read
    listed.set(session, specs)
  }
  return specs
}

function toFailure(thrown: unknown): HostFailure {
  if (isPlimsollError(thrown)) {
    const { kind, code, message, details } = thrown
    return { kind, code, message, ...(details.action === undefined ? {} : { action: details.action }) }
  }
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  if ((thrown as { code?: unknown } | null)?.code === 'ENOENT') {
    return { kind: 'not_found', code: 'inference.file_missing', message: 'Cannot load the model: its file is missing' }
  }
  return { kind: 'invalid', code: 'inference.runtime_refused', message: message.slice(0, 500) }
}
