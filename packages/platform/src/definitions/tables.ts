import type { Definition } from '@plimsoll/sdk/wire'
import type { Filled, Jsonb } from '../kernel/db/index.ts'

export interface DeclaredRow {
  project: string
  kind: string
  name: string
  source: string
  /** Of the definition and, for a pipeline, its code. */
  digest: string
  definition: Jsonb<Definition>
  applied_at: Filled<Date>
  applied_by: string
}

declare module '../kernel/db/tables.ts' {
  interface Tables {
    declared: DeclaredRow
  }
}
