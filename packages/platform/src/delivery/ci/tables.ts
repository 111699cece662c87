import type { CiTrigger, Verdict } from '@plimsoll/sdk/wire'
import type { Filled, Jsonb } from '../../kernel/db/index.ts'

/** One thing that was checked of a commit, such as `types` or `smoke`. */
export interface CiCheck {
  readonly name: string
  readonly verdict: Verdict
  readonly startedAt: string
  readonly durationMs: number
  readonly detail: string
  /** Of its log, a blob. */
  readonly log: string | null
}

/** Whether the code of a commit is right. Only commits have one: of a tree that is not clean nothing can be bound. */
export interface CiRecordRow {
  project: string
  id: string
  repository: string
  commit: string
  pipeline_digest: string
  config_digest: string
  verdict: Verdict
  checks: Jsonb<readonly CiCheck[]>
  actor: string
  trigger: CiTrigger
  /** The record of the same question that this one replaces; null in the first. */
  supersedes: string | null
  created_at: Filled<Date>
}

declare module '../../kernel/db/tables.ts' {
  interface Tables {
    ci_record: CiRecordRow
  }
}
