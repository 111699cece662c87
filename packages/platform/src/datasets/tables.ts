import type {
  DatasetDefinition,
  DatasetManifest,
  DatasetProfile,
  Strength,
  ValidationResult,
  VersionVerdict,
} from '@plimsoll/sdk/wire'
import type { Filled, Jsonb } from '../kernel/db/index.ts'

export interface DatasetRow {
  project: string
  name: string
  origin: 'declared' | 'derived'
  description: string | null
  owner: string | null
  definition_digest: string | null
  /** Highest version number given so far. */
  version_count: Filled<number>
  created_at: Filled<Date>
  updated_at: Filled<Date>
}

export interface DatasetDefinitionRow {
  project: string
  dataset: string
  digest: string
  schema_digest: string
  suite_digest: string
  definition: Jsonb<DatasetDefinition>
  created_at: Filled<Date>
}

export interface DatasetVersionRow {
  project: string
  dataset: string
  version: number
  digest: string
  strength: Strength
  format: 'parquet' | 'csv'
  row_count: bigint
  size_bytes: bigint
  file_count: number
  schema: Jsonb<DatasetManifest['schema']>
  /** Inline up to `INLINE_FILES_MAX` files; the blob named by `digest` always has it. */
  manifest: Jsonb<DatasetManifest> | null
  profile: Jsonb<DatasetProfile> | null
  profile_digest: string | null
  definition_digest: string | null
  suite_digest: string | null
  verdict: VersionVerdict
  evaluated: Filled<number>
  failed: Filled<number>
  run: string | null
  step: string | null
  retention: Filled<string>
  created_at: Filled<Date>
  /** When the dataset's files were last found to be this content. */
  seen_at: Filled<Date>
}

export interface DatasetValidationRow {
  project: string
  dataset: string
  version: number
  suite_digest: string
  validation_digest: string | null
  result: Jsonb<ValidationResult>
  run: string | null
  step: string | null
  created_at: Filled<Date>
}

export interface DatasetLocationRow {
  project: string
  digest: string
  location: string
  size_bytes: bigint
  mtime_ms: number
  seen_at: Filled<Date>
}

declare module '../kernel/db/tables.ts' {
  interface Tables {
    dataset: DatasetRow
    dataset_definition: DatasetDefinitionRow
    dataset_version: DatasetVersionRow
    dataset_validation: DatasetValidationRow
    dataset_location: DatasetLocationRow
  }
}
