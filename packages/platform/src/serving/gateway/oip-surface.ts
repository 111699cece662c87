import { decodeInferRequest, encodeInferResponse, type ModelInterface, type TensorSpec } from '../../inference/index.ts'
import { PlimsollError } from '../../kernel/errors.ts'
import { refuseCharset } from '../../kernel/http/json.ts'
import { type Arrival, readAdmitted } from './admission.ts'
import { type Answer, jsonAnswer } from './answer.ts'
import { findArm, type LiveRoute, type LiveState, requireLiveRoute, versionOf } from './live-state.ts'
import { demandMethod } from './method.ts'
import { chooseTarget, type PredictionDeps, recordPrediction, runTarget } from './predict.ts'
import { readTimeoutMs } from './request-timeout.ts'

export interface OipCall extends Arrival {
  readonly arrivedMs: number
  readonly segments: readonly string[]
  readonly requestId: string
  readonly traceId: string | undefined
  readonly signal: () => AbortSignal
}

export interface OipDeps extends PredictionDeps {
  readonly settings: { readonly bodyBytesMax: number }
}

const EXTENSIONS = [
  'binary_tensor_data',
  'classification',
  'model_configuration',
  'model_repository',
  'parameters',
  'schedule_policy',
  'statistics',
]
/** Extensions that are not there, and that have a part of the paths to themselves. */
const UNSUPPORTED_PARTS = ['trace', 'logging', 'systemsharedmemory', 'cudasharedmemory']
const PLATFORM = 'onnxruntime_onnx'
const SERVER = { name: 'plimsoll', version: '0.1.0', extensions: EXTENSIONS }

function notFound(what: string): never {
  throw new PlimsollError('not_found', 'serving.no_such_path', `Cannot find ${what.slice(0, 200)}`)
}

function refuseUnsupported(what: string): never {
  throw new PlimsollError('unsupported', 'serving.unsupported', `Cannot do "${what}": this server does not support it`)
}

function requireLive(deps: OipDeps): LiveState {
  const live = deps.gateway.live()
  if (!live)
    throw new PlimsollError('unavailable', 'serving.no_snapshot', 'This gateway has no snapshot yet', {
      retryAfterMs: 1_000,
    })
  return live
}

interface Located {
  live: LiveState
  entry: LiveRoute
  model: ModelInterface
  versions: string[]
}

function locate(deps: OipDeps, name: string, version: string | undefined): Located {
  const live = requireLive(deps)
  const entry = requireLiveRoute(
    live,
    name,
    () => new PlimsollError('not_found', 'serving.route_unknown', `Unknown model "${name.slice(0, 130)}"`),
  )
  const versions = entry.route.arms.map((arm) => String(versionOf(live, arm).version))
  const arm = version === undefined ? entry.route.arms[0]! : findArm(live, entry, version)
  if (!arm)
    throw new PlimsollError(
      'not_found',
      'serving.version_not_served',
      `Unknown version "${version}" of model "${name}"`,
    )
  return { live, entry, model: live.interfaces.get(arm.artifact)!, versions }
}

function configDims(model: ModelInterface, spec: TensorSpec): readonly number[] {
  return model.maxBatchSize > 0 ? spec.shape.slice(1) : spec.shape
}

function dataType(spec: TensorSpec): string {
  return `TYPE_${spec.datatype === 'BYTES' ? 'STRING' : spec.datatype}`
}

function configOf(name: string, model: ModelInterface): object {
  return {
    name,
    platform: PLATFORM,
    backend: 'onnxruntime',
    max_batch_size: model.maxBatchSize,
    input: model.inputs.map((spec) => ({
      name: spec.name,
      data_type: dataType(spec),
      dims: configDims(model, spec),
      is_shape_tensor: false,
      optional: false,
    })),
    output: model.outputs.map((spec) => ({
      name: spec.name,
      data_type: dataType(spec),
      dims: configDims(model, spec),
      is_shape_tensor: false,
    })),
    ...(model.maxBatchSize > 0 ? { dynamic_batching: {} } : {}),
  }
}

const ns = (count: number, us: number) => ({ count, ns: Math.round(us * 1_000) })

function statsOf(deps: OipDeps, name: string, live: LiveState, entry: LiveRoute, version?: string): object[] {
  const all = new Map(deps.pool.stats().models.map((model) => [model.digest, model]))
  const named = version === undefined ? undefined : findArm(live, entry, version)
  const wanted = version === undefined ? entry.route.arms : named ? [named] : []
  return wanted.map((arm) => {
    const stats = all.get(arm.artifact)
    return {
      name,
      version: String(versionOf(live, arm).version),
      last_inference: Math.floor(stats?.lastRunAtMs ?? 0),
      inference_count: stats?.inferenceCount ?? 0,
      execution_count: stats?.executionCount ?? 0,
      inference_stats: {
        success: ns(stats?.successCount ?? 0, stats?.successUs ?? 0),
        fail: ns(stats?.failureCount ?? 0, stats?.failureUs ?? 0),
        queue: ns(stats?.successCount ?? 0, stats?.queueUs ?? 0),
        compute_input: ns(stats?.executionCount ?? 0, 0),
        compute_infer: ns(stats?.executionCount ?? 0, stats?.inferUs ?? 0),
        compute_output: ns(stats?.executionCount ?? 0, 0),
        cache_hit: ns(0, 0),
        cache_miss: ns(0, 0),
      },
      batch_stats: (stats?.batches ?? []).map((batch) => ({
        batch_size: batch.rows,
        compute_input: ns(batch.count, 0),
        compute_infer: ns(batch.count, batch.inferUs),
        compute_output: ns(batch.count, 0),
      })),
    }
  })
}

function metadataOf(name: string, { model, versions }: Located): object {
  return { name, versions, platform: PLATFORM, inputs: model.inputs, outputs: model.outputs }
}

/** The one that is there, or the smaller. */
function least(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined || other === undefined ? (one ?? other) : Math.min(one, other)
}

async function infer(deps: OipDeps, call: OipCall, name: string, version: string | undefined): Promise<Answer> {
  const headerMs = readTimeoutMs(call.request.headers)
  const body = await readAdmitted(deps, call, name, { arrivedMs: call.arrivedMs, timeoutMs: headerMs })
  refuseCharset(call.request.headers['content-type'])
  const sticky = call.request.headers['x-plimsoll-key']
  const target = chooseTarget(deps, name, version, typeof sticky === 'string' ? sticky : undefined)
  const length = call.request.headers['inference-header-content-length']
  const decoded = decodeInferRequest({
    model: target.model,
    body,
    headerLength: typeof length === 'string' ? length : undefined,
  })
  const result = await runTarget(deps, target, decoded.inputs, {
    arrivedMs: call.arrivedMs,
    timeoutMs: least(headerMs, decoded.timeoutUs === undefined ? undefined : decoded.timeoutUs / 1_000),
    outputs: decoded.outputs.map((output) => output.name),
    signal: call.signal,
  })
  await recordPrediction(deps, target, {
    rows: decoded.rows,
    outputs: result.outputs,
    requestId: call.requestId,
    traceId: call.traceId,
    payload: () => ({ protocol: 'oip', id: decoded.id ?? null }),
  })
  const encoded = encodeInferResponse({
    modelName: name,
    modelVersion: String(target.version.version),
    request: decoded,
    maxBatchSize: target.model.maxBatchSize,
    outputs: result.outputs,
    labels: new Map(Object.entries(target.version.labels)),
  })
  return {
    status: 200,
    headers: {
      'content-type': encoded.contentType,
      ...(encoded.headerLength === undefined
        ? {}
        : { 'inference-header-content-length': String(encoded.headerLength) }),
      'x-plimsoll-prediction-id': target.predictionId,
      'x-plimsoll-version': `${target.version.model}/${target.version.version}`,
    },
    body: encoded.body,
  }
}

/** `/v2/models/<name>[/versions/<version>][/<verb>]`. */
async function answerModel(deps: OipDeps, call: OipCall): Promise<Answer> {
  const name = call.segments[2]!
  const isVersioned = call.segments[3] === 'versions'
  const version = isVersioned ? call.segments[4] : undefined
  const verb = call.segments[isVersioned ? 5 : 3]
  if (verb === 'trace') return refuseUnsupported(verb)
  const isCut = isVersioned && version === undefined
  if (isCut || call.segments.length > (isVersioned ? 6 : 4)) return notFound(call.segments.join('/'))
  if (verb === undefined || verb === 'ready' || verb === 'config' || verb === 'stats') demandMethod(call.request, 'GET')
  switch (verb) {
    case undefined:
      return jsonAnswer(metadataOf(name, locate(deps, name, version)))
    case 'ready':
      locate(deps, name, version)
      return jsonAnswer({ name, ready: true })
    case 'config':
      return jsonAnswer(configOf(name, locate(deps, name, version).model))
    case 'stats': {
      const { live, entry } = locate(deps, name, version)
      return jsonAnswer({ model_stats: statsOf(deps, name, live, entry, version) })
    }
    case 'infer':
      demandMethod(call.request, 'POST')
      return infer(deps, call, name, version)
    case 'generate':
    case 'generate_stream':
      return refuseUnsupported(verb)
    default:
      return notFound(call.segments.join('/'))
  }
}

function answerRepository(deps: OipDeps, call: OipCall): Answer {
  demandMethod(call.request, 'POST')
  const live = requireLive(deps)
  if (call.segments[2] === 'index' && call.segments.length === 3) {
    return jsonAnswer(
      [...live.routes].flatMap(([name, entry]) =>
        entry.route.arms.map((arm) => ({
          name,
          version: String(versionOf(live, arm).version),
          state: 'READY',
        })),
      ),
    )
  }
  const name = call.segments[3] ?? ''
  const isOrder = call.segments.length === 5 && ['load', 'unload'].includes(call.segments[4]!)
  if (call.segments[2] !== 'models' || !isOrder) return notFound(call.segments.join('/'))
  locate(deps, name, undefined)
  if (call.segments[4] === 'unload') {
    throw new PlimsollError(
      'forbidden',
      'serving.route_decides',
      `Cannot unload "${name}": what serves is decided by its route`,
      { action: 'Use plimsoll release or plimsoll rollback' },
    )
  }
  return { status: 200, headers: { 'content-type': 'application/json' }, body: '' }
}

/**
 * The Open Inference Protocol v2 over REST. A route is the protocol's model; tensors are the model's own.
 * @source kserve open-inference-protocol, inference_rest; extensions as Triton has them
 */
export async function answerOip(deps: OipDeps, call: OipCall, isDraining: boolean): Promise<Answer> {
  const [, second, third] = call.segments
  const { length } = call.segments
  const isModel = second === 'models' && third !== undefined && third !== '' && third !== 'stats'
  if (second !== undefined && UNSUPPORTED_PARTS.includes(second)) return refuseUnsupported(second)
  if (second !== 'repository' && !isModel) demandMethod(call.request, 'GET')
  if ((second === undefined || second === '') && length <= 2) return jsonAnswer(SERVER)
  if (second === 'health' && (third === 'live' || third === 'ready') && length === 3) {
    const isReady = deps.gateway.live() !== undefined && !isDraining
    return jsonAnswer({ live: true, ready: isReady }, third === 'live' || isReady ? 200 : 503)
  }
  if (second === 'repository') return answerRepository(deps, call)
  if (second !== 'models') return notFound(call.segments.join('/'))
  if ((third === undefined || third === '') && length <= 3)
    return jsonAnswer({ models: [...requireLive(deps).routes.keys()] })
  if (third === 'stats' && length === 3) {
    const live = requireLive(deps)
    return jsonAnswer({ model_stats: [...live.routes].flatMap(([name, entry]) => statsOf(deps, name, live, entry)) })
  }
  return isModel ? answerModel(deps, call) : notFound(call.segments.join('/'))
}
