import { LOGGED_ROWS_MIN, type ServedArm, type ServedRoute, type ServedVersion } from '@plimsoll/sdk/wire'
import {
  type ModelInterface,
  type ModelPool,
  type PoolResult,
  REQUEST_ROWS_MAX,
  rowBounds,
  type Tensor,
} from '../../inference/index.ts'
import type { Clock } from '../../kernel/clock.ts'
import { PlimsollError } from '../../kernel/errors.ts'
import { JSON_VALUES_MAX } from '../../kernel/http/json-outline.ts'
import { uuidv7 } from '../../kernel/ids.ts'
import { type CellValue, jsonElements } from './answer.ts'
import type { Gateway } from './gateway.ts'
import { findArm, type LiveRoute, requireLiveRoute, versionOf } from './live-state.ts'
import type { PredictionLog } from './prediction-log.ts'
import { chooseArm } from './routing.ts'

/** Outputs of more rows are in the record while they take about so many bytes: small beside a frame. */
const LOGGED_BYTES_AIM = 1 << 18
const NUMBER_BYTES = 20
const LOGGED_ELEMENTS_MAX = 16_384

export interface PredictionDeps {
  readonly gateway: Gateway
  readonly pool: ModelPool
  readonly log: PredictionLog
  readonly clock: Clock
  /** Told of each answer to a request for a prediction; `refusal` is the code of the error that it tells. */
  readonly observe: (route: string, status: string, seconds: number, refusal: string | undefined) => void
}

export interface Target {
  readonly entry: LiveRoute
  readonly route: ServedRoute
  readonly version: ServedVersion
  /** What the records of this arm have in common. */
  readonly identity: string
  readonly model: ModelInterface
  readonly predictionId: string
  /** The instant of the prediction, by the clock of the snapshot: features are looked up as of it. */
  readonly atUs: bigint
}

export interface Prediction {
  readonly target: Target
  readonly result: PoolResult
}

/** Finds the route and chooses the arm for a new prediction. @throws unavailable serving.no_snapshot · serving.route_unready · not_found serving.route_unknown */
export function chooseTarget(
  deps: PredictionDeps,
  name: string,
  version: string | undefined,
  stickyKey: string | undefined,
): Target {
  const live = deps.gateway.live()
  if (!live)
    throw new PlimsollError('unavailable', 'serving.no_snapshot', 'Cannot predict: this gateway has no snapshot yet', {
      retryAfterMs: 1_000,
    })
  const entry = requireLiveRoute(
    live,
    name,
    () =>
      new PlimsollError('not_found', 'serving.route_unknown', `Cannot find route "${name.slice(0, 130)}"`, {
        action: 'List the routes with GET /v2/models',
      }),
  )
  const predictionId = uuidv7(live.clock)
  const pinned = version === undefined ? undefined : findArm(live, entry, version)
  if (version !== undefined && !pinned) {
    throw new PlimsollError(
      'not_found',
      'serving.version_not_served',
      `Cannot find version "${version.slice(0, 60)}" on route ${name}`,
    )
  }
  const arm =
    pinned ??
    chooseArm(
      entry.route.arms,
      `${entry.route.project}/${entry.route.name}/${entry.route.epoch}`,
      stickyKey ?? predictionId,
    )
  if (!arm)
    throw new PlimsollError(
      'unavailable',
      'serving.no_weight',
      `Cannot predict: route ${name} sends no traffic to any version`,
    )
  return {
    entry,
    route: entry.route,
    version: versionOf(live, arm),
    identity: identityOf(entry, arm),
    model: live.interfaces.get(arm.artifact)!,
    predictionId,
    atUs: live.clock.nowUs(),
  }
}

/** The members that all records of an arm share, as JSON text without its braces: written once, not per prediction. */
function identityOf({ route, snapshot, identities }: LiveRoute, { arm, artifact }: ServedArm): string {
  const known = identities.get(arm)
  if (known !== undefined) return known
  const { project, environment, name, release, epoch } = route
  const shared = { project, environment, route: name, release, epoch, snapshot, arm, artifact }
  const text = JSON.stringify(shared).slice(1, -1)
  identities.set(arm, text)
  return text
}

/** When a request began, and what its client allows it. */
export interface Timing {
  readonly arrivedMs: number
  readonly timeoutMs: number | undefined
}

const deadlineOf = ({ route }: LiveRoute, { arrivedMs, timeoutMs }: Timing): number =>
  arrivedMs + Math.min(timeoutMs ?? Number.POSITIVE_INFINITY, route.sloMs * 2)

function findFullRoute({ route, inflight }: LiveRoute): PlimsollError | undefined {
  return inflight < route.inflightMax
    ? undefined
    : new PlimsollError(
        'overloaded',
        'serving.route_full',
        `Cannot take the request: route ${route.name} has ${inflight} in flight`,
        { retryAfterMs: 1_000 },
      )
}

/**
 * Why a request would be refused whatever its body says; looked up before that is kept and parsed, which under overload
 * would cost more than all else. Of several versions each must refuse.
 */
export function findRefusal(deps: PredictionDeps, name: string, timing: Timing): PlimsollError | undefined {
  const entry = deps.gateway.live()?.routes.get(name)
  if (!entry) return undefined
  let refusal = findFullRoute(entry)
  if (refusal) return refusal
  const deadlineMs = deadlineOf(entry, timing)
  for (const { artifact } of entry.route.arms) {
    refusal = deps.pool.findRefusal(artifact, deadlineMs)
    if (!refusal) return undefined
  }
  return refusal
}

/**
 * Values that a JSON body of rows may hold: those of the most rows, and some, so that a few rows too many are told as such.
 * Undefined for a route that is not there.
 */
export function jsonValuesMax(deps: PredictionDeps, name: string): number | undefined {
  const live = deps.gateway.live()
  const entry = live?.routes.get(name)
  if (!live || !entry) return undefined
  const rows = entry.route.arms.map(({ artifact }) => rowBounds(live.interfaces.get(artifact)!).max)
  return Math.max(REQUEST_ROWS_MAX, ...rows) * (Object.keys(entry.route.inputs).length + 2) + JSON_VALUES_MAX
}

/** Runs the model within the deadline, which counts from the arrival of the request; one request of the route's bound. @throws overloaded serving.route_full, and what the pool throws */
export async function runTarget(
  deps: PredictionDeps,
  target: Target,
  inputs: readonly Tensor[],
  options: Timing & { outputs?: readonly string[]; signal: () => AbortSignal },
): Promise<PoolResult> {
  const { entry } = target
  const full = findFullRoute(entry)
  if (full) throw full
  entry.inflight++
  try {
    return await deps.pool.infer(target.version.artifact, {
      inputs,
      deadlineMs: deadlineOf(entry, options),
      ...(options.outputs ? { outputs: options.outputs } : {}),
      signal: options.signal,
    })
  } finally {
    entry.inflight--
  }
}

function bytesOf({ data }: Tensor): number {
  const numbers = data.length * NUMBER_BYTES
  return Array.isArray(data) ? data.reduce((sum: number, text: string) => sum + text.length, numbers) : numbers
}

function loggedRowsOf(outputs: readonly Tensor[], rows: number): number {
  if (rows <= LOGGED_ROWS_MIN) return rows
  const rowBytes = outputs.reduce((sum, tensor) => sum + bytesOf(tensor), 0) / rows
  return Math.min(rows, Math.max(LOGGED_ROWS_MIN, Math.floor(LOGGED_BYTES_AIM / rowBytes)))
}

function loggedOutputs(outputs: readonly Tensor[], rows: number, loggedRows: number): Record<string, CellValue[]> {
  const logged: Record<string, CellValue[]> = {}
  for (const tensor of outputs) {
    const total = tensor.data.length
    const kept = loggedRows < rows ? Math.floor(total / rows) * loggedRows : total
    if (kept <= LOGGED_ELEMENTS_MAX) logged[tensor.name] = jsonElements(tensor, 0, kept)
  }
  return logged
}

/** The last 48 bits of a UUID, all random, as a number in [0, 1): whether a payload is kept follows from the id alone. */
function idUnit(id: string): number {
  return Number.parseInt(id.slice(-12), 16) / 2 ** 48
}

/** Writes the identity record; resolves once it is in the file, from where the answer may leave. */
export function recordPrediction(
  deps: PredictionDeps,
  target: Target,
  done: {
    rows: number
    outputs: readonly Tensor[]
    requestId: string | undefined
    traceId: string | undefined
    payload: () => unknown
  },
): Promise<void> {
  const { route, predictionId } = target
  const { rows } = done
  const loggedRows = loggedRowsOf(done.outputs, rows)
  const extent = rows > LOGGED_ROWS_MIN ? `"rows":${rows},"loggedRows":${loggedRows}` : `"rows":${rows}`
  return new Promise((resolve, reject) => {
    deps.log.append(
      {
        head: `"id":"${predictionId}","atMs":${Number(target.atUs) / 1_000},${extent},${target.identity}`,
        requestId: done.requestId,
        traceId: done.traceId,
        outputs: loggedOutputs(done.outputs, rows, loggedRows),
        payload: idUnit(predictionId) < route.payloadRate ? done.payload() : undefined,
      },
      resolve,
      reject,
    )
  })
}
