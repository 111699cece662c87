import {
  type ModelRuntime,
  type ModelSession,
  ONNX_DATATYPES,
  type RuntimeData,
  type RuntimeDatatype,
  type RuntimeSpec,
  type RuntimeTensor,
} from '@plimsoll/sdk/seams'
import type { InferenceSession, OnnxValue, Tensor } from 'onnxruntime-node'
import type { Binding } from 'onnxruntime-node/dist/binding.js'
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

interface Ort {
  readonly version: string
  readonly Tensor: typeof Tensor
  readonly open: (bytes: Uint8Array, options: InferenceSession.SessionOptions) => Binding.InferenceSession
}

/**
 * onnxruntime turns 16-bit data into a Float16Array where that global exists, and its native side then reads 0 bytes. It
 * looks once, at its first tensor. Removed once a release holds onnxruntime PR 32323 (issue 26791).
 */
function hideFloat16Array(OrtTensor: typeof Tensor): void {
  const { Float16Array } = globalThis
  Object.assign(globalThis, { Float16Array: undefined })
  try {
    new OrtTensor('bool', [true])
  } finally {
    Object.assign(globalThis, { Float16Array })
  }
}

async function importRuntime(): Promise<Ort> {
  const { env, Tensor } = await import('onnxruntime-node')
  hideFloat16Array(Tensor)
  // The package's own session wraps each run, which blocks in any case, in a turn of the event loop and three promises.
  const { binding, initOrt } = await import('onnxruntime-node/dist/binding.js')
  return {
    version: env.versions.node ?? env.versions.common,
    Tensor,
    open(bytes, options) {
      initOrt()
      const session = new binding.InferenceSession()
      session.loadModel(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength, options) // not shared memory
      return session
    },
  }
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
  let isFp16Sound: boolean | undefined
  const load: ModelRuntime['load'] = async ({ digest, bytes }) => {
    const session = ort.open(bytes, sessionOptions)
    try {
      const inputs = readSpecs(session.inputMetadata, 'input')
      const outputs = readSpecs(session.outputMetadata, 'output')
      if ([...inputs, ...outputs].some((spec) => spec.datatype === 'FP16')) {
        isFp16Sound ??= isFp16Carried(ort, sessionOptions)
        if (!isFp16Sound) {
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
      session.dispose()
      throw thrown
    }
  }
  return {
    name: 'onnxruntime',
    version: ort.version,
    capabilities: { formats: ['onnx'], datatypes: [...DATATYPES.values()], placement: 'placed' },
    load,
    async close() {
      for (const session of [...open]) await session.close()
    },
  }
}

const MAP_ACTION =
  "Export it with tensors alone, of scikit-learn with options={'zipmap': False}; a register step takes a trailing ZipMap off itself"
const DATATYPE_ACTION = 'Cast it to another datatype in the graph, and export it again'

function readSpecs(metadata: readonly Binding.ValueMetadata[], side: string): RuntimeSpec[] {
  return metadata.map((value) => {
    const datatype = value.isTensor ? ONNX_DATATYPES[value.type] : undefined
    if (!datatype) {
      const what = value.isTensor ? `of datatype ${value.type} of the format` : 'a sequence or a map'
      throw new PlimsollError(
        'unsupported',
        'onnx.value_unsupported',
        `Cannot load the model: ${side} "${value.name}" is ${what}, only tensors are served`,
        { action: value.isTensor ? DATATYPE_ACTION : MAP_ACTION },
      )
    }
    return { name: value.name, datatype, shape: [...value.shape] }
  })
}

interface SessionParts {
  readonly ort: Ort
  readonly session: Binding.InferenceSession
  readonly digest: string
  readonly inputs: RuntimeSpec[]
  readonly outputs: RuntimeSpec[]
  readonly onClose: () => void
}

function wrapSession(parts: SessionParts): ModelSession {
  const { ort, session, digest, inputs, outputs, onClose } = parts
  let isClosed = false
  const model: ModelSession & Required<Pick<ModelSession, 'runNow'>> = {
    digest,
    placement: 'placed',
    inputs,
    outputs,
    run: async (tensors, wanted) => model.runNow(tensors, wanted),
    runNow(tensors, wanted) {
      if (isClosed)
        throw new PlimsollError('unavailable', 'onnx.session_closed', 'Cannot run the model: it was unloaded')
      const feeds: Record<string, Tensor> = {}
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
      for (const { name } of inputs) if (!Object.hasOwn(feeds, name)) throw missing('input', name)
      const fetches: Record<string, null> = {}
      for (const name of wanted) {
        if (!outputs.some((spec) => spec.name === name)) throw missing('output', name)
        fetches[name] = null
      }
      const results = session.run(feeds, fetches, {})
      return wanted.map((name) => readOutput(name, results[name]))
    },
    async close() {
      if (isClosed) return
      isClosed = true
      onClose()
      session.dispose()
    },
  }
  return model
}

function missing(side: 'input' | 'output', name: string): PlimsollError {
  return side === 'input'
    ? new PlimsollError('invalid', 'onnx.input_missing', `Cannot run the model: its input "${name}" is missing`)
    : new PlimsollError('invalid', 'onnx.output_unknown', `Cannot run the model: it has no output "${name}"`)
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

function isFp16Carried(ort: Ort, options: InferenceSession.SessionOptions): boolean {
  try {
    const session = ort.open(FP16_PROBE, options)
    const data = Uint16Array.of(0x3c00)
    const { y } = session.run({ x: new ort.Tensor('float16', data, [1]) }, { y: null }, {})
    session.dispose()
    return (y?.data as Uint16Array | undefined)?.[0] === 0x3c00
  } catch {
    return false
  }
}
