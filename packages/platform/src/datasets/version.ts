import {
  type DatasetManifest,
  type DatasetProfile,
  datasetManifest,
  datasetProfile,
  STRENGTHS,
  type Strength,
  type ValidationResult,
  type VersionVerdict,
  validationResult,
} from '@plimsoll/sdk/wire'
import { type RawBuilder, type Selectable, sql } from 'kysely'
import { z } from 'zod'
import { alsoPin } from '../kernel/blob/index.ts'
import type { Json } from '../kernel/canonical.ts'
import type { Context, Tx } from '../kernel/db/index.ts'
import { type Digest, digestValue } from '../kernel/digest.ts'
import { PlimsollError } from '../kernel/errors.ts'
import { declareDerivedDataset, lockDataset } from './dataset.ts'
import type { DatasetVersionRow } from './tables.ts'
import './events.ts'

/** Manifests and profiles beyond these sizes stay in their blobs. */
const INLINE_FILES_MAX = 1_000
const FAILURES_NAMED_MAX = 20
const PAGE_MAX = 200

/** An immutable state of a dataset. Only its verdict may move, when a new suite is applied to the same content. */
export interface DatasetVersion {
  readonly dataset: string
  readonly version: number
  /** Digest of the manifest's canonical bytes. */
  readonly digest: Digest
  readonly strength: Strength
  readonly format: 'parquet' | 'csv'
  readonly rowCount: number
  readonly sizeBytes: number
  readonly fileCount: number
  readonly schema: DatasetManifest['schema']
  readonly profileDigest: Digest | null
  readonly definitionDigest: Digest | null
  readonly suiteDigest: Digest | null
  readonly verdict: VersionVerdict
  readonly expectations: { readonly evaluated: number; readonly failed: number }
  readonly run: string | null
  readonly step: string | null
  readonly createdAt: Date
}

export interface NewVersion {
  readonly dataset: string
  /** True: the dataset's row is made when there is none, as for a training set that a step wrote. */
  readonly derived?: boolean
  readonly manifest: DatasetManifest
  /** Digest of the stored manifest, when the caller knows it; must equal that of `manifest`. */
  readonly digest?: string
  readonly strength: Strength
  readonly profile?: { readonly digest: string; readonly content: DatasetProfile }
  /** Absent: the version is `unchecked`. */
  readonly validation?: {
    readonly digest: string | null
    readonly suiteDigest: string
    readonly content: ValidationResult
  }
  readonly definitionDigest?: string
  readonly run?: string
  readonly step?: string
}

type VersionRow = Selectable<DatasetVersionRow>

export function toDatasetVersion(row: VersionRow): DatasetVersion {
  return {
    dataset: row.dataset,
    version: row.version,
    digest: row.digest as Digest, // written by registerVersion only
    strength: row.strength,
    format: row.format,
    rowCount: Number(row.row_count),
    sizeBytes: Number(row.size_bytes),
    fileCount: row.file_count,
    schema: row.schema,
    profileDigest: row.profile_digest as Digest | null, // written by registerVersion only
    definitionDigest: row.definition_digest as Digest | null, // written by registerVersion only
    suiteDigest: row.suite_digest as Digest | null, // written by registerVersion only
    verdict: row.verdict,
    expectations: { evaluated: row.evaluated, failed: row.failed },
    run: row.run,
    step: row.step,
    createdAt: row.created_at,
  }
}

/**
 * Registers a state of a dataset under the next number. Content that is registered already keeps its number and is the
 * newest again: a new suite then adds its validation and moves the verdict; anything else is free and emits nothing.
 * A failing version is registered, marked, and refused downstream.
 *
 * @throws not_found datasets.dataset_not_found unless `derived`
 * @throws invalid   datasets.digest_mismatch when `digest` is not that of the manifest
 */
export async function registerVersion(tx: Tx, added: NewVersion): Promise<DatasetVersion & { isNew: boolean }> {
  const manifest = datasetManifest.parse(added.manifest)
  const digest = digestValue(manifest)
  if (added.digest !== undefined && added.digest !== digest) {
    throw new PlimsollError(
      'invalid',
      'datasets.digest_mismatch',
      `Cannot register a version of "${added.dataset}": its manifest has digest ${digest}, expected ${added.digest}`,
    )
  }
  if (added.derived) await declareDerivedDataset(tx, added.dataset)
  const dataset = await lockDataset(tx, added.dataset)
  if (!dataset)
    throw new PlimsollError(
      'not_found',
      'datasets.dataset_not_found',
      `Cannot find dataset "${added.dataset}" in project "${tx.project}"`,
    )
  const known = await versionRow(tx, { dataset: added.dataset, digest })
  if (known) await noteSeen(tx, known)
  const verdict = verdictOf(added.validation?.content)
  if (known && (!added.validation || known.suite_digest === added.validation.suiteDigest))
    return { ...toDatasetVersion(known), isNew: false }
  const row = known
    ? await moveVerdict(tx, known, added, verdict)
    : await insertVersion(tx, added, manifest, digest, dataset.version_count + 1, verdict)
  await alsoPin(tx, {
    owner: `dataset-version:${added.dataset}/${row.version}`,
    digests: [digest, row.profile_digest, added.validation?.digest ?? null],
  })
  if (added.validation) await storeValidation(tx, row, added, added.validation)
  const data = {
    version: row.version,
    digest,
    verdict: row.verdict,
    evaluated: row.evaluated,
    failed: row.failed,
    rowCount: Number(row.row_count),
  }
  await tx.emit({
    type: known ? 'datasets.version_validated' : 'datasets.version_registered',
    subject: added.dataset,
    data,
  })
  await tx.audit({
    action: known ? 'dataset.validate' : 'dataset.register_version',
    subject: `${added.dataset}@${row.version}`,
    data,
  })
  return { ...toDatasetVersion(row), isNew: !known }
}

/** Makes a version whose content was seen again the newest; false, and nothing is changed, where it is not as is expected. */
export async function seeAgain(
  ctx: Context,
  { dataset, version, digest }: Pick<DatasetVersion, 'dataset' | 'version'> & { readonly digest: string },
  isExpected: (found: DatasetVersion) => boolean = () => true,
): Promise<boolean> {
  const isSame = (found: DatasetVersion) => found.digest === digest && isExpected(found)
  const newest = await findNewest(ctx, dataset)
  if (newest?.version === version) return isSame(newest)
  return ctx.transaction(async (tx) => {
    await lockDataset(tx, dataset)
    const row = await versionRow(tx, { dataset, version })
    if (!row || !isSame(toDatasetVersion(row))) return false
    await noteSeen(tx, row)
    return true
  })
}

/** What a step that wrote a version says of it. */
const written = z.object({ dataset: z.string(), version: z.int(), digest: z.string() })

/** The same for what a step has written of its own, by what its commit returned; one that named no dataset wrote none. */
export async function seeWrittenAgain(ctx: Context, result: Json): Promise<boolean> {
  if (result === null) return true
  const known = written.safeParse(result)
  return known.success && seeAgain(ctx, known.data)
}

/** How sure the digest of a version is; the least of those that say so, undefined where none has this digest. */
export async function strengthOf(ctx: Context, digest: string): Promise<Strength | undefined> {
  const rows = await ctx.db
    .selectFrom('dataset_version')
    .select('strength')
    .distinct()
    .where('project', '=', ctx.project)
    .where('digest', '=', digest)
    .execute()
  const order = rows.map((row) => STRENGTHS.indexOf(row.strength))
  return STRENGTHS[Math.max(...order)]
}

function verdictOf(validation: ValidationResult | undefined): {
  verdict: VersionVerdict
  evaluated: number
  failed: number
} {
  if (!validation) return { verdict: 'unchecked', evaluated: 0, failed: 0 }
  const { evaluated_expectations: evaluated, unsuccessful_expectations: failed } = validation.statistics
  return { verdict: validation.success ? 'passed' : 'failed', evaluated, failed }
}

/** A version is the newest from when its content was last seen. A clock that is coarse or was put back makes no two equal. */
async function noteSeen(tx: Tx, { dataset, version }: VersionRow): Promise<void> {
  const newest = await newestQuery(tx, dataset).executeTakeFirstOrThrow() // it is among them
  if (newest.version === version) return
  await tx.db
    .updateTable('dataset_version')
    .set({ seen_at: afterAllSeen(tx, dataset) })
    .where('project', '=', tx.project)
    .where('dataset', '=', dataset)
    .where('version', '=', version)
    .execute()
}

function afterAllSeen(tx: Tx, dataset: string): RawBuilder<Date> {
  return sql<Date>`greatest(clock_timestamp(), (select max(seen_at) + interval '1 microsecond' from dataset_version
    where project = ${tx.project} and dataset = ${dataset}))`
}

function newestQuery(ctx: Context, dataset: string) {
  return ctx.db
    .selectFrom('dataset_version')
    .selectAll()
    .where('project', '=', ctx.project)
    .where('dataset', '=', dataset)
    .orderBy('seen_at', 'desc')
    .orderBy('version', 'desc')
    .limit(1)
}

async function insertVersion(
  tx: Tx,
  added: NewVersion,
  manifest: DatasetManifest,
  digest: Digest,
  version: number,
  verdict: ReturnType<typeof verdictOf>,
): Promise<VersionRow> {
  await tx.db
    .updateTable('dataset')
    .set({ version_count: version })
    .where('project', '=', tx.project)
    .where('name', '=', added.dataset)
    .execute()
  return tx.db
    .insertInto('dataset_version')
    .values({
      project: tx.project,
      dataset: added.dataset,
      version,
      digest,
      strength: added.strength,
      format: manifest.format,
      row_count: BigInt(manifest.rowCount),
      size_bytes: manifest.files.reduce((sum, file) => sum + BigInt(file.sizeBytes), 0n),
      file_count: manifest.files.length,
      schema: JSON.stringify(manifest.schema),
      manifest: manifest.files.length <= INLINE_FILES_MAX ? JSON.stringify(manifest) : null,
      profile: added.profile ? JSON.stringify(datasetProfile.parse(added.profile.content)) : null,
      profile_digest: added.profile?.digest ?? null,
      definition_digest: added.definitionDigest ?? null,
      suite_digest: added.validation?.suiteDigest ?? null,
      ...verdict,
      run: added.run ?? null,
      step: added.step ?? null,
      seen_at: afterAllSeen(tx, added.dataset),
    })
    .returningAll()
    .executeTakeFirstOrThrow()
}

async function moveVerdict(
  tx: Tx,
  known: VersionRow,
  added: NewVersion,
  verdict: ReturnType<typeof verdictOf>,
): Promise<VersionRow> {
  return tx.db
    .updateTable('dataset_version')
    .set({
      ...verdict,
      suite_digest: added.validation?.suiteDigest ?? null,
      definition_digest: added.definitionDigest ?? known.definition_digest,
    })
    .where('project', '=', tx.project)
    .where('dataset', '=', known.dataset)
    .where('version', '=', known.version)
    .returningAll()
    .executeTakeFirstOrThrow()
}

async function storeValidation(
  tx: Tx,
  row: VersionRow,
  added: NewVersion,
  validation: NonNullable<NewVersion['validation']>,
): Promise<void> {
  const result = JSON.stringify(validationResult.parse(validation.content))
  const values = { result, validation_digest: validation.digest, run: added.run ?? null, step: added.step ?? null }
  await tx.db
    .insertInto('dataset_validation')
    .values({
      project: tx.project,
      dataset: row.dataset,
      version: row.version,
      suite_digest: validation.suiteDigest,
      ...values,
    })
    .onConflict((conflict) => conflict.columns(['project', 'dataset', 'version', 'suite_digest']).doUpdateSet(values))
    .execute()
}

/** Names a version: by dataset and number, by dataset and digest, or by digest alone (then the oldest dataset that has it). */
export type VersionRef =
  | { readonly dataset: string; readonly version: number }
  | { readonly dataset?: string; readonly digest: string }

async function versionRow(ctx: Context, ref: VersionRef): Promise<VersionRow | undefined> {
  let query = ctx.db.selectFrom('dataset_version').selectAll().where('project', '=', ctx.project)
  if (ref.dataset !== undefined) query = query.where('dataset', '=', ref.dataset)
  query = 'version' in ref ? query.where('version', '=', ref.version) : query.where('digest', '=', ref.digest)
  return query.orderBy('created_at').orderBy('dataset').limit(1).executeTakeFirst()
}

export async function findVersion(ctx: Context, ref: VersionRef): Promise<DatasetVersion | undefined> {
  const row = await versionRow(ctx, ref)
  return row ? toDatasetVersion(row) : undefined
}

/**
 * A version that may be used downstream. With `allowFailed`, one that failed its expectations is returned too: for
 * looking at it, or when a definition says so.
 *
 * @throws not_found    datasets.version_not_found
 * @throws precondition datasets.version_failed_expectations (details: evaluated, failed, failures)
 */
export async function requireVersion(
  ctx: Context,
  ref: VersionRef,
  options: { allowFailed?: boolean } = {},
): Promise<DatasetVersion> {
  const found = await findVersion(ctx, ref)
  if (!found) {
    const name =
      'version' in ref
        ? `version ${ref.version} of dataset "${ref.dataset}"`
        : `a dataset version with digest ${ref.digest}`
    throw new PlimsollError(
      'not_found',
      'datasets.version_not_found',
      `Cannot find ${name} in project "${ctx.project}"`,
      'version' in ref ? { action: `Its versions are listed by plimsoll dataset versions ${ref.dataset}` } : {},
    )
  }
  if (found.verdict === 'failed' && !options.allowFailed) throw await failedExpectations(ctx, found)
  return found
}

async function failedExpectations(ctx: Context, version: DatasetVersion): Promise<PlimsollError> {
  const { evaluated, failed } = version.expectations
  const row = await ctx.db
    .selectFrom('dataset_validation')
    .select('result')
    .where('project', '=', ctx.project)
    .where('dataset', '=', version.dataset)
    .where('version', '=', version.version)
    .where('suite_digest', '=', version.suiteDigest ?? '')
    .executeTakeFirst()
  const failures = (row?.result.results ?? [])
    .filter((result) => !result.success)
    .slice(0, FAILURES_NAMED_MAX)
    .map((result) => ({
      type: result.expectation_config.type,
      kwargs: result.expectation_config.kwargs,
      result: result.result,
    }))
  return new PlimsollError(
    'precondition',
    'datasets.version_failed_expectations',
    `Cannot use version ${version.version} of dataset "${version.dataset}": ${failed} of ${evaluated} expectations failed`,
    {
      dataset: version.dataset,
      version: version.version,
      evaluated,
      failed,
      failures,
      action: 'Correct the data and register a new version, or allow failed versions where it is used',
    },
  )
}

/** The version whose content was last seen, whatever its verdict. */
export async function findNewest(ctx: Context, dataset: string): Promise<DatasetVersion | undefined> {
  const row = await newestQuery(ctx, dataset).executeTakeFirst()
  return row && toDatasetVersion(row)
}

/**
 * The last seen version that did not fail its expectations; with `allowFailed`, the last seen of all.
 *
 * @throws not_found    datasets.no_version
 * @throws precondition datasets.version_failed_expectations when every version failed
 */
export async function latestVersion(
  ctx: Context,
  dataset: string,
  options: { allowFailed?: boolean } = {},
): Promise<DatasetVersion> {
  const newest = newestQuery(ctx, dataset)
  const usable = await (options.allowFailed ? newest : newest.where('verdict', '<>', 'failed')).executeTakeFirst()
  if (usable) return toDatasetVersion(usable)
  const failed = await newest.executeTakeFirst()
  if (failed) throw await failedExpectations(ctx, toDatasetVersion(failed))
  throw new PlimsollError(
    'not_found',
    'datasets.no_version',
    `Cannot find a version of dataset "${dataset}" in project "${ctx.project}"`,
    {
      action: `Register one: plimsoll dataset add ${dataset}`,
    },
  )
}

/** Versions, newest first; `before` is the last number of the page before. */
export async function listVersions(
  ctx: Context,
  dataset: string,
  page: { before?: number; limit?: number } = {},
): Promise<{ versions: DatasetVersion[]; next: number | null }> {
  const limit = Math.min(page.limit ?? 50, PAGE_MAX)
  let query = ctx.db
    .selectFrom('dataset_version')
    .selectAll()
    .where('project', '=', ctx.project)
    .where('dataset', '=', dataset)
  if (page.before !== undefined) query = query.where('version', '<', page.before)
  const rows = await query
    .orderBy('version', 'desc')
    .limit(limit + 1)
    .execute()
  const versions = rows.slice(0, limit).map(toDatasetVersion)
  return { versions, next: rows.length > limit ? (versions.at(-1)?.version ?? null) : null }
}

/** Manifest (null when too large to be kept inline), profile and newest validation of a version. */
export async function versionContent(
  ctx: Context,
  version: DatasetVersion,
): Promise<{ manifest: DatasetManifest | null; profile: DatasetProfile | null; validation: ValidationResult | null }> {
  const row = await ctx.db
    .selectFrom('dataset_version')
    .leftJoin('dataset_validation', (join) =>
      join
        .onRef('dataset_validation.project', '=', 'dataset_version.project')
        .onRef('dataset_validation.dataset', '=', 'dataset_version.dataset')
        .onRef('dataset_validation.version', '=', 'dataset_version.version')
        .onRef('dataset_validation.suite_digest', '=', 'dataset_version.suite_digest'),
    )
    .select(['dataset_version.manifest', 'dataset_version.profile', 'dataset_validation.result'])
    .where('dataset_version.project', '=', ctx.project)
    .where('dataset_version.dataset', '=', version.dataset)
    .where('dataset_version.version', '=', version.version)
    .executeTakeFirst()
  return { manifest: row?.manifest ?? null, profile: row?.profile ?? null, validation: row?.result ?? null }
}
