import type {
  ModelRuntime,
  ModelSession,
  RuntimeData,
  RuntimeDatatype,
  RuntimeSpec,
  RuntimeTensor,
} from '@plimsoll/sdk/seams'
import type { InferenceSession, OnnxValue, Tensor } from 'onnxruntime-node'
import { PlimsollError } from '../../kernel/errors.ts'

const ORT_TYPES = {
  BOOL: 'bool',
  UINT8: 'uint8',
  UINT16: 'uint16',
  UINT32: 'uint32',
  UINT64: 'uint64',
  INT8: 'int8',
  INT16: 'int16',
  INT32: 'int32',
  INT64: 'int64',
  FP16: 'float16',
  FP32: 'float32',
  FP64: 'float64',
  BYTES: 'string',
} as const satisfies Record<RuntimeDatatype, string>

const DATATYPES = new Map<string, RuntimeDatatype>(
  Object.entries(ORT_TYPES).map(([datatype, type]) => [type, datatype as RuntimeDatatype]), // keys of a const table
)

/** y = Identity(x) on float16: shows at the first FP16 model whether the runtime carries the type here. */
const FP16_PROBE = Buffer.from(
  'CAgSB2ZpeHR1cmU6NwoQCgF4EgF5IghJZGVudGl0eRIBZ1oPCgF4EgoKCAgKEgQKAggBYg8KAXkSCgoICAoSBAoCCAFCBAoAEA0=',
  'base64',
)

export interface OnnxRuntimeOptions {
  /** Keep the memory arena: faster, but its high-water mark stays allocated. */
  readonly hasArena?: boolean
}

type Ort = typeof import('onnxruntime-node')

/**
 * onnxruntime turns 16-bit data into a Float16Array where that global exists, and its native side then reads 0 bytes.
 * Removed once a release holds onnxruntime PR 32323 (issue 26791).
 */
async function importRuntime(): Promise<Ort> {
  Object.assign(globalThis, { Float16Array: undefined })
  return import('onnxruntime-node')
}

/** The ONNX runtime on the CPU, one thread per run. For a model host only: a run blocks its process. */
export async function openOnnxRuntime(options: OnnxRuntimeOptions = {}): Promise<ModelRuntime> {
  const ort = await importRuntime()
  const hasArena = options.hasArena ?? true
  const sessionOptions: InferenceSession.SessionOptions = {
    executionProviders: ['cpu'],
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    logSeverityLevel: 4, // at 3 every request that a model refuses prints a line
    enableCpuMemArena: hasArena,
    enableMemPattern: hasArena,
  }
  const open = new Set<ModelSession>()
  let isFp16Sound: Promise<boolean> | undefined
  const load: ModelRuntime['load'] = async ({ digest, bytes }) => {
    const session = await ort.InferenceSession.create(bytes, sessionOptions)
    try {
      const inputs = readSpecs(session.inputMetadata, 'input')
      const outputs = readSpecs(session.outputMetadata, 'output')
      if ([...inputs, ...outputs].some((spec) => spec.datatype === 'FP16')) {
        isFp16Sound ??= proveFp16(ort, sessionOptions)
        if (!(await isFp16Sound)) {
          throw new PlimsollError(
            'unsupported',
            'onnx.fp16_broken',
            'Cannot load the model: this runtime does not carry FP16 tensors here',
          )
        }
      }
      const model = wrapSession({ ort, session, digest, inputs, outputs, onClose: () => open.delete(model) })
      open.add(model)
      return model
    } catch (thrown) {
      await session.release()
      throw thrown
    }
  }
  return {
    name: 'onnxruntime',
    version: ort.env.versions.node ?? ort.env.versions.common,
    capabilities: { formats: ['onnx'], datatypes: [...DATATYPES.values()], placement: 'placed' },
    load,
    async close() {
      for (const session of [...open]) await session.close()
    },
  }
}

function readSpecs(metadata: readonly InferenceSession.ValueMetadata[], side: string): RuntimeSpec[] {
  return metadata.map((value) => {
    const datatype = value.isTensor ? DATATYPES.get(value.type) : undefined
    if (!value.isTensor || !datatype) {
      const what = value.isTensor ? `datatype ${value.type}` : 'a sequence or a map'
      throw new PlimsollError(
        'unsupported',
        'onnx.value_unsupported',
        `Cannot load the model: ${side} "${value.name}" is ${what}, only tensors are served`,
      )
    }
    return { name: value.name, datatype, shape: value.shape.map((dim) => (typeof dim === 'number' ? dim : -1)) }
  })
}

interface SessionParts {
  readonly ort: Ort
  readonly session: InferenceSession
  readonly digest: string
  readonly inputs: RuntimeSpec[]
  readonly outputs: RuntimeSpec[]
  readonly onClose: () => void
}

function wrapSession(parts: SessionParts): ModelSession {
  const { ort, session, digest, inputs, outputs, onClose } = parts
  let isClosed = false
  return {
    digest,
    placement: 'placed',
    inputs,
    outputs,
    async run(tensors, wanted) {
      if (isClosed)
        throw new PlimsollError('unavailable', 'onnx.session_closed', 'Cannot run the model: it was unloaded')
      const feeds: Record<string, Tensor> = Object.create(null)
      for (const tensor of tensors) {
        // the runtime ignores feeds that it does not know
        if (!inputs.some((spec) => spec.name === tensor.name)) {
          throw new PlimsollError(
            'invalid',
            'onnx.input_unknown',
            `Cannot run the model: it has no input "${tensor.name}"`,
          )
        }
        feeds[tensor.name] = new ort.Tensor(
          ORT_TYPES[tensor.datatype] as 'float32',
          tensor.data as Float32Array,
          tensor.shape,
        ) // the constructor's overloads are per type
      }
      const results = await session.run(feeds, wanted)
      return wanted.map((name) => readOutput(name, results[name]))
    },
    async close() {
      if (isClosed) return
      isClosed = true
      onClose()
      await session.release()
    },
  }
}

function readOutput(name: string, value: OnnxValue | undefined): RuntimeTensor {
  const datatype = value && DATATYPES.get(value.type)
  if (!value || !datatype) {
    throw new PlimsollError(
      'unsupported',
      'onnx.value_unsupported',
      `Cannot read output "${name}": it is not a tensor that can be served`,
    )
  }
  return { name, datatype, shape: value.dims, data: value.data as RuntimeData } // CPU tensors hold typed arrays or strings
}

async function proveFp16(ort: Ort, options: InferenceSession.SessionOptions): Promise<boolean> {
  try {
    const session = await ort.InferenceSession.create(FP16_PROBE, options)
    const data = Uint16Array.of(0x3c00)
    const { y } = await session.run({ x: new ort.Tensor('float16', data, [1]) })
    await session.release()
    return (y?.data as Uint16Array | undefined)?.[0] === 0x3c00
  } catch {
    return false
  }
}
