import { z } from 'zod'
import { datasetManifest, STRENGTHS } from './dataset-manifest.ts'
import { datasetProfile } from './dataset-profile.ts'
import { validationResult } from './dataset-validation.ts'
import { datasetDefinition } from './definition/dataset.ts'
import { columnType, definitionName } from './definition/name.ts'
import { loosely } from './loosely.ts'

/** What the expectations said of a version; `unchecked` when none were declared. */
export const VERSION_VERDICTS = ['passed', 'failed', 'unchecked'] as const
/** One of `VERSION_VERDICTS`. */
export type VersionVerdict = (typeof VERSION_VERDICTS)[number]

/** Params of a step of the kind `dataset-version`. */
export const datasetVersionParams = z.strictObject({
  dataset: definitionName,
  /** Absolute path of the project folder, to which the source's path is relative; none is needed for an absolute one. */
  root: z.string().min(1).max(4_096).optional(),
  /** Path or glob inside `root` in place of the definition's, for example the file of one month. */
  path: z.string().min(1).max(1_024).optional(),
  /** Version whose histogram bins are taken, so that the two profiles can be compared. */
  reference: z.int().positive().optional(),
})
/** Params of a `dataset-version` step as read. */
export type DatasetVersionParams = z.output<typeof datasetVersionParams>

/** What a `dataset-version` step says of the version that it made. */
export const madeDatasetVersion = z.object({
  dataset: definitionName,
  version: z.int().positive(),
  digest: z.string(),
  /** Of the expectations by which it was judged. */
  suiteDigest: z.string(),
  verdict: z.enum(VERSION_VERDICTS),
  /** Expectations that were evaluated, and those of them that failed. */
  evaluated: z.int().nonnegative(),
  failed: z.int().nonnegative(),
  rowCount: z.int().nonnegative(),
  /** False where the version was there already. */
  isNew: z.boolean(),
})
/** What a `dataset-version` step made. */
export type MadeDatasetVersion = z.output<typeof madeDatasetVersion>

/** A dataset in a list, with its newest version; null where it has none. Times are ISO text in UTC. */
export const datasetSummary = z.object({
  name: definitionName,
  description: z.string().optional(),
  owner: z.string().optional(),
  /** `declared` by a project, or `derived`: written by steps, such as training sets. */
  origin: z.enum(['declared', 'derived']),
  latestVersion: z.int().positive().nullable(),
  latestVerdict: z.enum(VERSION_VERDICTS).nullable(),
  createdAt: z.string(),
  updatedAt: z.string(),
})

/** A dataset with the definition that declares it; null for one that steps derived. */
export const datasetDetail = datasetSummary.extend({
  definitionDigest: z.string().nullable(),
  definition: loosely(datasetDefinition).nullable(),
})

/** A version in a list: its digest, how surely that names the content, and what the expectations said. */
export const datasetVersionSummary = z.object({
  dataset: definitionName,
  version: z.int().positive(),
  digest: z.string(),
  strength: z.enum(STRENGTHS),
  verdict: z.enum(VERSION_VERDICTS),
  /** Expectations evaluated and failed. */
  expectations: z.object({ evaluated: z.int(), failed: z.int() }),
  rowCount: z.int().nonnegative(),
  sizeBytes: z.int().nonnegative(),
  fileCount: z.int().nonnegative(),
  format: z.enum(['parquet', 'csv']),
  run: z.string().nullable(),
  step: z.string().nullable(),
  createdAt: z.string(),
})
/** A dataset version as lists show it. */
export type DatasetVersionSummary = z.output<typeof datasetVersionSummary>

/** A version with its schema, manifest, profile and validation result; null for what it does not have. */
export const datasetVersionDetail = datasetVersionSummary.extend({
  schema: z.record(z.string(), loosely(columnType)),
  definitionDigest: z.string().nullable(),
  suiteDigest: z.string().nullable(),
  profileDigest: z.string().nullable(),
  manifest: loosely(datasetManifest).nullable(),
  profile: loosely(datasetProfile).nullable(),
  validation: loosely(validationResult).nullable(),
  /** Where files were last seen, at most 1,000. */
  locations: z.array(z.object({ digest: z.string(), location: z.string(), sizeBytes: z.int(), seenAt: z.string() })),
})

/** A page of datasets; `next` leads to the following one, null on the last. */
export const datasetPage = z.object({ datasets: z.array(datasetSummary), next: z.string().nullable() })
/** A page of versions; `next` leads to the following one, null on the last. */
export const datasetVersionPage = z.object({
  versions: z.array(datasetVersionSummary),
  next: z.string().nullable(),
})
