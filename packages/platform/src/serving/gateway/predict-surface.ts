import type { PoolResult } from '../../inference/index.ts'
import { isPlimsollError, PlimsollError } from '../../kernel/errors.ts'
import { type Answer, demandRows, jsonAnswer, rowValue } from './answer.ts'
import type { PreparedRows } from './compiled-route.ts'
import { type ReadRows, rowsOfInvocations, rowsOfPredict } from './json-rows.ts'
import { chooseTarget, type PredictionDeps, recordPrediction, runTarget, type Target } from './predict.ts'

export interface PredictCall {
  readonly route: string
  readonly body: unknown
  readonly stickyKey: string | undefined
  readonly arrivedMs: number
  readonly requestId: string
  readonly traceId: string | undefined
  readonly timeoutMs: number | undefined
  readonly signal: () => AbortSignal
}

interface Scored {
  target: Target
  prepared: PreparedRows
  result: PoolResult
}

const REDACTED = '[redacted]'

function redact(row: Readonly<Record<string, unknown>>, names: readonly string[]): Readonly<Record<string, unknown>> {
  if (names.length === 0) return row
  const kept = { ...row }
  for (const name of names) if (Object.hasOwn(kept, name)) kept[name] = REDACTED
  return kept
}

/** Faults of rows, at their places in the body that was sent. */
function placed(thrown: unknown, { place }: ReadRows): unknown {
  if (!isPlimsollError(thrown) || thrown.details.faults === undefined) return thrown
  const { kind, code, message, details, cause } = thrown
  const faults = thrown.details.faults.map(place)
  return new PlimsollError(kind, code, message, { ...details, faults }, cause)
}

async function score(deps: PredictionDeps, call: PredictCall, read: ReadRows): Promise<Scored> {
  const target = chooseTarget(deps, call.route, undefined, call.stickyKey)
  let prepared: PreparedRows
  try {
    prepared = target.entry.prepare(read.rows, target.atUs, target.model, target.version.columns)
  } catch (thrown) {
    throw placed(thrown, read)
  }
  const { arrivedMs, timeoutMs, signal } = call
  const result = await runTarget(deps, target, prepared.tensors, { arrivedMs, timeoutMs, signal })
  demandRows(result.outputs, prepared.rows)
  await recordPrediction(deps, target, {
    rows: prepared.rows,
    outputs: result.outputs,
    requestId: call.requestId,
    traceId: call.traceId,
    payload: () => ({
      inputs: prepared.inputs.slice(0, 64).map((row) => redact(row, target.route.redacted)),
      features: prepared.features.slice(0, 64).map((looked) => ({
        values: Array.from(looked.values, (value) => (Number.isFinite(value) ? value : null)),
        statuses: [...looked.statuses],
      })),
    }),
  })
  return { target, prepared, result }
}

function identified(answer: Answer, { predictionId, version }: Target): Answer {
  answer.headers['x-plimsoll-prediction-id'] = predictionId
  answer.headers['x-plimsoll-version'] = `${version.model}/${version.version}`
  answer.headers['x-plimsoll-artifact'] = version.artifact
  return answer
}

/** `POST /predict/<route>`: JSON rows in, one object of outputs per row out, and which features could not be had. */
export async function answerPredict(deps: PredictionDeps, call: PredictCall): Promise<Answer> {
  const { target, prepared, result } = await score(deps, call, rowsOfPredict(call.body))
  const predictions = Array.from({ length: prepared.rows }, (_, row) =>
    Object.fromEntries(result.outputs.map((tensor) => [tensor.name, rowValue(tensor, row, prepared.rows)])),
  )
  const answer = jsonAnswer({
    prediction_id: target.predictionId,
    route: target.route.name,
    model: target.version.model,
    version: String(target.version.version),
    artifact: target.version.artifact,
    predictions,
    ...(prepared.missing.length > 0 ? { missing_features: prepared.missing } : {}),
  })
  return identified(answer, target)
}

/** MLflow's `/invocations`: the first output when the model has one, else an object per row. */
export async function answerInvocations(deps: PredictionDeps, call: PredictCall): Promise<Answer> {
  const { target, prepared, result } = await score(deps, call, rowsOfInvocations(call.body))
  const only = result.outputs.length === 1 ? result.outputs[0] : undefined
  const predictions = Array.from({ length: prepared.rows }, (_, row) =>
    only
      ? rowValue(only, row, prepared.rows)
      : Object.fromEntries(result.outputs.map((tensor) => [tensor.name, rowValue(tensor, row, prepared.rows)])),
  )
  const answer = jsonAnswer({ predictions })
  return identified(answer, target)
}

/** The route that a bare `/invocations` means: the only one there is. @throws invalid serving.route_ambiguous */
export function onlyRoute(deps: PredictionDeps): string {
  const names = [...(deps.gateway.live()?.routes.keys() ?? [])]
  if (names.length === 1) return names[0]!
  throw new PlimsollError(
    'invalid',
    'serving.route_ambiguous',
    `Cannot tell which route is meant: there are ${names.length}`,
    { action: 'Send to /invocations/<route>' },
  )
}
