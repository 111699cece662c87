import type { EntityDefinition, FeatureServiceDefinition, FeatureViewDefinition } from '@plimsoll/sdk/wire'
import type { Filled, Jsonb } from '../kernel/db/index.ts'

export type FeatureDefinition = EntityDefinition | FeatureViewDefinition | FeatureServiceDefinition
export type FeatureKind = FeatureDefinition['kind']

export interface FeatureDefinitionRow {
  project: string
  kind: FeatureKind
  name: string
  /** Digest of what the definition means; description and owner are not part of it. */
  digest: string
  definition: Jsonb<FeatureDefinition>
  /** Of a view: number under which its values are stored online. */
  generation: number | null
  created_at: Filled<Date>
  updated_at: Filled<Date>
}

export interface FeatureVersionRow {
  project: string
  kind: FeatureKind
  name: string
  digest: string
  definition: Jsonb<FeatureDefinition>
  generation: number | null
  created_at: Filled<Date>
}

export interface MaterializationRow {
  project: string
  view: string
  view_version: string
  generation: number
  /** Digest of the dataset version that was read. */
  source: string
  until_us: bigint
  fence: number
  /** `dropped`: what it wrote was needed no longer. */
  state: 'committed' | 'dropped'
  rows_applied: bigint
  rows_stale: bigint
  run: string
  step: string
  created_at: Filled<Date>
}

declare module '../kernel/db/tables.ts' {
  interface Tables {
    feature_definition: FeatureDefinitionRow
    feature_version: FeatureVersionRow
    materialization: MaterializationRow
  }
}
