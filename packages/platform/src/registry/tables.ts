import type { ModelDefinition, PassportBound, PassportNotes } from '@plimsoll/sdk/wire'
import type { Filled, Jsonb } from '../kernel/db/index.ts'

export interface RegisteredModelRow {
  project: string
  name: string
  description: Filled<string>
  definition: Jsonb<ModelDefinition> | null
  definition_digest: string | null
  last_version: Filled<number>
  created_at: Filled<Date>
  updated_at: Filled<Date>
  /** The name and its version numbers stay taken; a model made again under it goes on counting. */
  deleted_at: Filled<Date | null>
}

/** What a model's notes became; added and never rewritten. */
export interface ModelNotesRow {
  project: string
  model: string
  revision: number
  notes: Jsonb<PassportNotes>
  digest: string
  /** Of the definition that says so; null where none does. */
  definition_digest: string | null
  changed_by: string
  changed_at: Filled<Date>
}

export interface ModelVersionRow {
  project: string
  model: string
  version: number
  description: Filled<string>
  /** As the client gave it: `plimsoll:run/step`, `runs:/…`, `models:/m-…`. */
  source: string
  artifact: string | null
  size_bytes: Filled<bigint>
  passport: Jsonb<PassportBound>
  passport_digest: string
  run: string | null
  step: string | null
  tracked_run: string | null
  logged_model: string | null
  run_link: Filled<string>
  stage: Filled<string>
  created_by: string
  created_at: Filled<Date>
  updated_at: Filled<Date>
  deleted_at: Date | null
}

/** Tags of a model (`version` 0) and of its versions. */
export interface ModelTagRow {
  project: string
  model: string
  version: number
  key: string
  value: string
}

export interface ModelAliasRow {
  project: string
  model: string
  alias: string
  version: number
  updated_at: Filled<Date>
}

export interface ApprovalRow {
  id: string
  project: string
  model: string
  version: number
  environment: string
  artifact: string
  passport: string
  approver: string
  proof: string
  comment: string
  is_self_approved: boolean
  created_at: Filled<Date>
}

/** A version that a holder, such as a route, serves: it cannot be deleted or renamed. One for each holder. */
export interface VersionHoldRow {
  project: string
  holder: string
  model: string
  version: number
}

declare module '../kernel/db/tables.ts' {
  interface Tables {
    registered_model: RegisteredModelRow
    model_notes: ModelNotesRow
    model_version: ModelVersionRow
    model_tag: ModelTagRow
    model_alias: ModelAliasRow
    approval: ApprovalRow
    version_hold: VersionHoldRow
  }
}
