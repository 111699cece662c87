import type { ReleaseAction, RouteDefinition, RouteSignature } from '@plimsoll/sdk/wire'
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

declare module '../../kernel/db/tables.ts' {
  interface Tables {
    route: RouteRow
    release: ReleaseRow
    assignment: AssignmentRow
  }
}
