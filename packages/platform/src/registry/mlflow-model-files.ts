import type { PassportBound } from '@plimsoll/sdk/wire'
import type { ArtifactContent } from '../tracking/index.ts'

const MODEL_FILE = 'model.onnx'

/** Names of NumPy for the datatypes of the inference protocol. */
const DTYPES: Readonly<Record<string, string>> = {
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
  BYTES: 'str',
}

type Tensors = NonNullable<PassportBound['signature']>['inputs']

/** Undefined where NumPy has no name for a type. A lone tensor has none: so it takes an array or a frame whole. */
function tensorsOf(tensors: Tensors): string | undefined {
  if (tensors.some(({ datatype }) => DTYPES[datatype] === undefined)) return undefined
  return JSON.stringify(
    tensors.map(({ name, datatype, shape }) => ({
      type: 'tensor',
      'tensor-spec': { dtype: DTYPES[datatype], shape },
      ...(tensors.length > 1 ? { name } : {}),
    })),
  )
}

/**
 * Tensors, also where the model states its columns: with columns MLflow gives a frame back, into which outputs of several
 * values a row, such as probabilities, do not fit.
 */
function signatureOf(
  signature: PassportBound['signature'],
): { inputs: string; outputs: string; params: null } | undefined {
  const inputs = signature && tensorsOf(signature.inputs)
  const outputs = signature && tensorsOf(signature.outputs)
  return inputs && outputs ? { inputs, outputs, params: null } : undefined
}

/** Of `cpython-3.12.1`, the digits. */
const pythonOf = (bound: PassportBound) => /(\d+\.\d+(?:\.\d+)?)/.exec(bound.environment?.interpreter ?? '')?.[1]

const REQUIREMENTS = ['mlflow', 'onnx', 'onnxruntime']

/** What MLflow has no place for, where the model states it: its columns, and the classes of its outputs. */
function metadataOf({ signature }: PassportBound): object | undefined {
  const columns = signature?.columns
  const labels = signature?.outputs.flatMap((output) => (output.labels ? [[output.name, output.labels]] : [])) ?? []
  if (columns === undefined && labels.length === 0) return undefined
  return { ...(columns && { columns }), ...(labels.length > 0 && { labels: Object.fromEntries(labels) }) }
}

/** `MLmodel` as `mlflow.onnx.save_model` writes it, as far as the passport knows it. JSON is YAML. */
function describe(bound: PassportBound): object {
  const python = pythonOf(bound)
  const signature = signatureOf(bound.signature)
  const metadata = metadataOf(bound)
  return {
    flavors: {
      onnx: { code: null, data: MODEL_FILE, onnx_session_options: null, providers: ['CPUExecutionProvider'] },
      python_function: {
        data: MODEL_FILE,
        env: { conda: 'conda.yaml', virtualenv: 'python_env.yaml' },
        loader_module: 'mlflow.onnx',
        ...(python === undefined ? {} : { python_version: python }),
      },
    },
    ...(metadata === undefined ? {} : { metadata }),
    model_size_bytes: bound.artifact.sizeBytes,
    ...(bound.origin.trackedRun === null ? {} : { run_id: bound.origin.trackedRun }),
    ...(signature === undefined ? {} : { signature }),
  }
}

/** The files of a version that MLflow's loaders for ONNX read: its own bytes by digest, and beside them what names them. */
export function layOutModel(bound: PassportBound): ReadonlyMap<string, ArtifactContent> {
  const python = pythonOf(bound)
  const text = (path: string, value: string | object): [string, ArtifactContent] => [
    path,
    { path, bytes: Buffer.from(typeof value === 'string' ? value : `${JSON.stringify(value, undefined, 2)}\n`) },
  ]
  const pythonPin = python === undefined ? {} : { python }
  const conda = [...(python === undefined ? [] : [`python=${python}`]), 'pip', { pip: REQUIREMENTS }]
  return new Map([
    text('MLmodel', describe(bound)),
    text('conda.yaml', { channels: ['conda-forge'], dependencies: conda, name: 'mlflow-env' }),
    [MODEL_FILE, { path: MODEL_FILE, digest: bound.artifact.digest!, sizeBytes: bound.artifact.sizeBytes }],
    text('python_env.yaml', { ...pythonPin, build_dependencies: ['pip'], dependencies: ['-r requirements.txt'] }),
    text('requirements.txt', `${REQUIREMENTS.join('\n')}\n`),
  ])
}
