import type {
  ReleaseAction,
  RolloutState,
  RouteDefinition,
  RouteSignature,
  StageKind,
  Verdict,
} from '@plimsoll/sdk/wire'
import type { Filled, Jsonb } from '../../kernel/db/index.ts'

export interface RouteRow {
  project: string
  environment: string
  name: string
  model: string
  definition: Jsonb<RouteDefinition>
  definition_digest: string
  updated_at: Filled<Date>
}

export interface ReleaseRow {
  id: string
  project: string
  environment: string
  route: string
  epoch: number
  action: ReleaseAction
  model: string
  version: number
  artifact: string
  passport: string
  from_artifact: string | null
  actor: string
  proof: string
  is_self_approved: boolean
  reason: string
  /** How requests become columns; null in rows of before it was bound. */
  signature: Jsonb<RouteSignature> | null
  /** Of a rollback: the epoch whose release serves again. */
  restores: number | null
  created_at: Filled<Date>
}

export interface AssignmentRow {
  project: string
  environment: string
  route: string
  release: string
  epoch: number
  model: string
  version: number
  artifact: string
  passport: string
  signature: Jsonb<RouteSignature> | null
  updated_at: Filled<Date>
}

/** Whether a release is safe on live traffic. Who moves it names the epoch that they saw, and is refused when it is another by now. */
export interface RolloutRow {
  project: string
  id: string
  environment: string
  route: string
  from_artifact: string | null
  artifact: string
  /** Of the route's definition, which has the stages. */
  policy_digest: string
  /** The release that began it, with the person and the approvals; it serves alone once this is promoted. */
  release: string
  evaluation: string
  state: RolloutState
  /** Of the newest weights that were asked for; releases and stages of a route draw epochs from one sequence. */
  epoch: number
  /** Null until it ends. `inconclusive` of one that was promoted: it was baked, not judged. */
  verdict: Verdict | null
  created_at: Filled<Date>
  ended_at: Date | null
}

/** When a stage may be judged, and when it must be. */
export interface StageLimits {
  readonly requestsMin: number
  readonly durationMsMin: number
  readonly durationMsMax: number
}

/** What one guard of a stage said of the arms; a number that its test does not have is null. */
export interface GuardResult {
  readonly guard: string
  readonly test: string
  readonly statistic: number | null
  readonly interval: readonly [low: number | null, high: number | null]
  readonly margin: number | null
  readonly alpha: number | null
  readonly n: { readonly champion: number; readonly challenger: number }
  readonly nNeeded: number | null
  readonly seed: number | null
  readonly verdict: Verdict
}

export interface RolloutStageRow {
  project: string
  rollout: string
  position: number
  kind: StageKind
  /** Percent of the requests that the challenger answers. */
  weight: number
  limits: Jsonb<StageLimits>
  /** Under which its predictions are counted; null before it starts. */
  epoch: number | null
  guards: Jsonb<readonly GuardResult[]> | null
  /** Of the counts that were judged, a blob from which the verdict can be had again. */
  evidence_digest: string | null
  verdict: Verdict | null
  started_at: Date | null
  ended_at: Date | null
}

declare module '../../kernel/db/tables.ts' {
  interface Tables {
    route: RouteRow
    release: ReleaseRow
    assignment: AssignmentRow
    rollout: RolloutRow
    rollout_stage: RolloutStageRow
  }
}
