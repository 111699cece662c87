import { z } from 'zod'
import { count, ordinal } from './count.ts'
import { definitionName } from './definition/name.ts'
import { routeDefinition } from './definition/route.ts'
import { digest } from './digest.ts'
import { loosely } from './loosely.ts'
import { gatewayStatus, routeLatency } from './snapshot.ts'

/** Puts back what a route served before. The reason is kept for ever. */
export const rollbackBody = z.strictObject({
  environment: definitionName.default('production'),
  reason: z.string().min(1).max(2_000),
  /** Artifact that the caller believes serves now; null for none. Refused when another one does. */
  expected: digest.nullable().optional(),
})

/** Ends what a route serves; it answers 404 until the next release. */
export const retireBody = rollbackBody

/** Moves a route to a version of its model. */
export const releaseBody = rollbackBody.extend({ version: ordinal })

/** What a release row says was done to its route; `retire` ends what an earlier one began: its row names what served until then. */
export const RELEASE_ACTIONS = ['release', 'rollback', 'retire'] as const
/** One of `RELEASE_ACTIONS`. */
export type ReleaseAction = (typeof RELEASE_ACTIONS)[number]

/**
 * One change of what a route serves: who did it and why, and the digests that it binds. `epoch` counts up with each.
 */
export const releaseView = z.object({
  id: z.string(),
  environment: z.string(),
  route: z.string(),
  epoch: z.int(),
  action: z.enum(RELEASE_ACTIONS),
  model: z.string(),
  version: z.int(),
  artifact: digest,
  passport: digest,
  fromArtifact: digest.nullable(),
  actor: z.string(),
  isSelfApproved: z.boolean(),
  reason: z.string(),
  createdAt: z.iso.datetime(),
})
/** A release, rollback or retirement as it was recorded. */
export type ReleaseView = z.output<typeof releaseView>

/** Releases of a route, newest first. */
export const releaseList = z.object({ releases: z.array(releaseView) })

/** A route with what is assigned to it; null before its first release and after it was retired. */
export const routeView = z.object({
  environment: z.string(),
  name: z.string(),
  digest,
  definition: loosely(routeDefinition),
  assignment: z
    .object({
      release: z.string(),
      epoch: z.int(),
      model: z.string(),
      version: z.int(),
      artifact: digest,
      passport: digest,
      since: z.iso.datetime(),
    })
    .nullable(),
})
/** A route and its assignment. */
export type RouteView = z.output<typeof routeView>

/** Every route of the project, in every environment. */
export const routeList = z.object({ routes: z.array(routeView) })

/** How a gateway said that it was: the epoch that it serves, and the snapshot that it refused, whole or in part. */
export const gatewayView = z.object({
  gateway: z.string(),
  epoch: z.int(),
  state: z.string(),
  /** By the clock of the database. */
  seenAt: z.iso.datetime(),
  refused: loosely(gatewayStatus.shape.refused),
})
/** A gateway as it last reported. */
export type GatewayView = z.output<typeof gatewayView>

/** Gateways that have reported, by name. */
export const gatewayList = z.object({ gateways: z.array(gatewayView) })

/** Live figures of a route: counts by arm and hour, and quality where labels have come back. */
export const liveView = z.object({
  route: z.string(),
  environment: z.string(),
  predictions: z.int(),
  rows: z.int(),
  labelled: z.int(),
  unscored: z.int().default(0),
  arms: z.array(
    z.object({
      release: z.string(),
      arm: z.string(),
      artifact: digest,
      predictions: z.int(),
      rows: z.int(),
      labelled: z.int(),
      /** Labels that count for nothing: the record of the prediction has no score of their row. */
      unscored: z.int().default(0),
      /** Area under the ROC curve, Brier score and log loss of the labelled rows; null while there are too few. */
      auc: z.number().nullable(),
      brier: z.number().nullable(),
      logLoss: z.number().nullable(),
    }),
  ),
  hours: z.array(z.object({ hourMs: z.number(), predictions: z.int() })),
  /** Why the route does not serve what is assigned to it, but what it served before. */
  fault: z.string().nullable().default(null),
  gateways: z.array(
    gatewayView.extend({
      /** Of the route's answers in the minute before `seenAt`; null without one. */
      latency: loosely(routeLatency).nullable().default(null),
    }),
  ),
})
/** Live figures of one route. */
export type LiveView = z.output<typeof liveView>

/** Neither seconds nor microseconds since 1970 fall between them: from 1973 to 2286. */
const [MS_MIN, MS_MAX] = [1e11, 1e13]
const UNIX_MS = 'expected milliseconds since 1970'

/**
 * What turned out to be true of earlier predictions, by prediction and row; `knownAtMs` is Unix time in milliseconds.
 */
export const labelsBody = z.strictObject({
  labels: z
    .array(
      z.strictObject({
        prediction: z.string().max(64),
        row: count.default(0),
        label: z.number(),
        knownAtMs: z.number().min(MS_MIN, UNIX_MS).max(MS_MAX, UNIX_MS),
      }),
    )
    .min(1)
    .max(10_000),
})

/** How many labels were taken; their join with predictions comes after the answer. */
export const receivedLabels = z.object({ received: z.int() })
