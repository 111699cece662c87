import { z } from 'zod'
import { count } from './count.ts'
import { columnType, definitionName, fieldName } from './definition/name.ts'
import { featureMapping } from './definition/route.ts'
import { digest } from './digest.ts'
import { loosely } from './loosely.ts'

/** A version that a gateway may serve. `approvals` bind digests: the gateway refuses a snapshot whose approvals name others. */
export const servedVersion = z.strictObject({
  /** Tells versions with the same bytes apart: `project/environment/model/version`. The artifact when absent. */
  key: z.string().max(500).optional(),
  artifact: digest,
  sizeBytes: z.int().nonnegative(),
  passport: digest,
  model: z.string().max(250),
  version: z.int().positive(),
  approvals: z.array(z.strictObject({ by: z.string().max(250), artifact: digest, passport: digest })).max(20),
  /** Labels of a classifier's outputs, where the model was exported with them. */
  labels: z.record(z.string(), z.array(z.string())).default({}),
  /** The route's columns that it takes, in its order; null: all of them, as the route orders them. */
  columns: z.array(z.string().max(130)).max(10_000).nullable().default(null),
})
/** A version that a snapshot names. */
export type ServedVersion = z.output<typeof servedVersion>

/** A part of a route's traffic: `weight` is relative, `epoch` names the assignment under which it is counted. */
export const servedArm = z.strictObject({
  arm: z.enum(['champion', 'challenger']),
  artifact: digest,
  /** Key of the version that it serves; the artifact when absent. */
  version: z.string().max(500).optional(),
  weight: z.number().nonnegative(),
})

/** One arm of a served route. */
export type ServedArm = z.output<typeof servedArm>

/** An input of a served route: a key of an entity, or a typed request field. */
export const servedInput = z.union([
  z.strictObject({
    entity: definitionName,
    key: fieldName,
    type: z.enum(['text', 'int32', 'int64', 'boolean', 'bytes']),
  }),
  columnType,
])
/** One input of a served route. */
export type ServedInput = z.output<typeof servedInput>

/** How requests of a route become the columns of a model. Bound by each release. */
export const routeSignature = z.strictObject({
  inputs: z.record(fieldName, servedInput),
  columns: z.array(z.strictObject({ name: z.string().max(130), source: featureMapping })),
  /** What the online store must be asked: compiled by features, opaque here. */
  features: z.json().nullable(),
})
/** How requests of a route become columns. */
export type RouteSignature = z.output<typeof routeSignature>

/** A route as gateways serve it: its signature, its arms and its limits. */
export const servedRoute = z.strictObject({
  project: definitionName,
  environment: definitionName,
  name: definitionName,
  /** Digest of the route's definition. */
  definition: digest,
  epoch: z.int().nonnegative(),
  release: z.string().max(100),
  sloMs: z.int().positive(),
  ...routeSignature.shape,
  arms: z.array(servedArm).min(1).max(2),
  /** Share of predictions whose inputs and features are logged, chosen by the random part of the prediction's id. */
  payloadRate: z.number().min(0).max(1),
  /** Inputs whose values no payload holds. */
  redacted: z.array(fieldName).max(1_000).default([]),
  /** Requests waiting or running at once; beyond it, 503. */
  inflightMax: z.int().positive(),
})
/** One route of a snapshot. */
export type ServedRoute = z.output<typeof servedRoute>

/** Whose token a gateway takes: its SHA-256, the project on which it has a role, or `*` for all, and until when it holds. */
const caller = z.strictObject({
  hash: z.string().regex(/^[0-9a-f]{64}$/),
  project: z.union([definitionName, z.literal('*')]),
  expiresAtMs: z.int(),
})

/** Everything that a gateway needs to answer without the control plane. Signed as the exact bytes of its canonical JSON. */
export const snapshot = z.strictObject({
  v: z.literal(1),
  epoch: z.int().nonnegative(),
  issuedAtMs: z.int(),
  /** The data directory's replay clock, if it has one. */
  clock: z.strictObject({ originMs: z.number(), startedAtMs: z.number(), rate: z.number().positive() }).nullable(),
  routes: z.array(servedRoute).max(10_000),
  versions: z.array(servedVersion).max(10_000),
  /** Only where tokens are asked for. */
  callers: z.array(caller).max(100_000).optional(),
})
/** What gateways serve by, from one epoch to the next. */
export type Snapshot = z.output<typeof snapshot>

/**
 * A snapshot as it travels: its canonical JSON as text, the Ed25519 signature of those bytes in base64, and the digest
 * of the key.
 */
export const signedSnapshot = z.strictObject({
  payload: z.string().max(64 << 20),
  signature: z.string().max(200),
  keyId: z.string().max(100),
})
/** A snapshot with its signature, which whoever receives it verifies. */
export type SignedSnapshot = z.output<typeof signedSnapshot>

/** The newest snapshot after the epoch that was asked for; null when none came in the time that it was waited for. */
export const awaitedSnapshot = z.object({ snapshot: loosely(signedSnapshot).nullable() })

/** How long a route's newest answers took, from request to answer. */
export const routeLatency = z.strictObject({
  answers: z.int().positive(),
  p50Ms: z.number().nonnegative(),
  p99Ms: z.number().nonnegative(),
})
/** Latency of one route, in milliseconds. */
export type RouteLatency = z.output<typeof routeLatency>

/** What a gateway says of itself after each change, and every few seconds. */
export const gatewayStatus = z.strictObject({
  boot: z.string().max(100),
  epoch: count,
  state: z.enum(['starting', 'ready', 'draining']),
  /** The newest snapshot that it could not take, or not in all its routes, and why. */
  refused: z.strictObject({ epoch: count, reason: z.string().max(2_000) }).nullable(),
  spooledBytes: z.int().nonnegative(),
  /** By route; a route without an answer in the last minute is left out. */
  latency: z.record(z.string().max(250), routeLatency).default({}),
})
/** The state of one gateway. */
export type GatewayStatus = z.output<typeof gatewayStatus>

/** Says no more than that a gateway's status was taken. */
export const takenStatus = z.object({})

/** Outputs of so many rows are in every record, and of more while they are small. */
export const LOGGED_ROWS_MIN = 64

/**
 * The identity record of one prediction. Written before the answer leaves; `outputs` of the first `loggedRows`;
 * `payload` only for the sampled share.
 */
export const predictionRecord = z.strictObject({
  id: z.string().max(64),
  /** Under the clock of the data directory. */
  atMs: z.number(),
  project: z.string(),
  environment: z.string(),
  route: z.string(),
  release: z.string(),
  epoch: z.int(),
  snapshot: z.int(),
  arm: z.string(),
  artifact: digest,
  rows: z.int(),
  /** Rows whose outputs are here; when absent at most `LOGGED_ROWS_MIN`. */
  loggedRows: z.int().positive().optional(),
  requestId: z.string().optional(),
  /** Of the trace that the request belongs to, when it came with a `traceparent`. */
  traceId: z
    .string()
    .regex(/^[0-9a-f]{32}$/)
    .optional(),
  outputs: z.record(z.string(), z.array(z.union([z.number(), z.string(), z.boolean(), z.null()]))).optional(),
  payload: z.json().optional(),
})
/** The identity record of one prediction. */
export type PredictionRecord = z.output<typeof predictionRecord>

/** How many predictions a segment held that a gateway shipped; the same when it was shipped before. */
export const takenSegment = z.object({ records: z.int() })

/** The identity record of a prediction, and the digest of the segment that holds it. */
export const storedPrediction = z.object({ record: loosely(predictionRecord), segment: z.string() })
