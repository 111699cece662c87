import { copyFile, mkdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { QueryEngine } from '@plimsoll/sdk/seams'
import type { DatasetDefinition, DatasetOutput, DatasetProfile, ValidationResult } from '@plimsoll/sdk/wire'
import { canonicalJson, type Json } from '../kernel/canonical.ts'
import { countText } from '../kernel/count-text.ts'
import { digestFile } from '../kernel/digest.ts'
import { type Fault, PlimsollError, refuseFaults } from '../kernel/errors.ts'
import type { StepCommand } from '../kernel/step-kind.ts'
import { checkLocalTimes } from './content/local-times.ts'
import { relationOf, toManifest } from './content/manifest.ts'
import { evaluateMeasures, type Scan, selectRows } from './content/measure.ts'
import { type DatasetVersionSpec, datasetVersionSpec } from './dataset-version-spec.ts'
import { compileSuite } from './expectation/compile.ts'
import { judgeSuite, suiteMeasures } from './expectation/validate.ts'
import { checkFileSchema, checkValues, type FoundSchema } from './file-schema.ts'
import { buildProfile, profileMeasures } from './profile.ts'

type SourceFile = DatasetVersionSpec['files'][number]

interface HashedFile extends SourceFile {
  readonly digest: string
}

/** The heavy part of `dataset-version`: runs in a step worker, writes `version`, `profile`, `validation` and `places`. */
export async function runDatasetVersionCommand(command: StepCommand): Promise<void> {
  const spec = datasetVersionSpec.parse(command.spec)
  const { definition } = spec
  const engine = await command.engine()
  if (engine.dialect !== 'duckdb')
    throw new PlimsollError(
      'unsupported',
      'datasets.dialect',
      `Cannot check a dataset with the engine "${engine.dialect}"`,
    )
  refuseEmptyFiles(spec)
  const hashed = await hashFiles(spec.files, command)
  const paths = hashed.map((file) => file.path)
  const found = await checkFileSchema(engine, definition, paths, command.signal)
  await checkValues(engine, definition, paths, found.unsure, command.signal)
  const { format, csv } = definition.source
  const untyped: Scan = { engine, relation: { format, files: paths, ...(csv ? { csv } : {}) }, signal: command.signal }
  await checkLocalTimes(untyped, definition.name, definition.schema, found.local)
  command.progress(0.5, 'checking values')
  const scan: Scan = { engine, relation: relationOf(formOf(definition), paths), signal: command.signal }
  const rows = await countRows(scan)
  const { profile, validation } = await inspect(scan, spec, found, command)
  await refuseChangedFiles(spec.files)
  await writeOutputs(command, spec, hashed, rows, profile, validation)
}

function formOf(definition: DatasetDefinition) {
  const { format, csv } = definition.source
  return { format, schema: definition.schema, ...(csv ? { csv } : {}) }
}

function refuseEmptyFiles({ definition, files }: DatasetVersionSpec): void {
  const faults = files.flatMap((file, index) =>
    file.sizeBytes === 0 ? [{ pointer: `/files/${index}`, detail: `${file.path} is empty` }] : [],
  )
  refuseFaults(
    'datasets.unreadable_files',
    `Cannot read dataset "${definition.name}": ${countText(faults.length, 'file has', 'files have')} no bytes`,
    faults,
  )
}

async function hashFiles(files: readonly SourceFile[], command: StepCommand): Promise<HashedFile[]> {
  const total = files.reduce((sum, file) => sum + file.sizeBytes, 0)
  const hashed: HashedFile[] = []
  let done = 0
  for (const file of files) {
    command.signal.throwIfAborted()
    const { digest, sizeBytes } = await digestFile(file.path).catch((error: unknown) => {
      throw new PlimsollError(
        'precondition',
        'datasets.file_gone',
        `Cannot read "${file.path}": ${error instanceof Error ? error.message : String(error)}`,
        {},
        error,
      )
    })
    if (sizeBytes !== file.sizeBytes) throw changed(file)
    hashed.push({ ...file, digest })
    done += sizeBytes
    command.progress(total === 0 ? 0.4 : (done / total) * 0.4, `hashed ${hashed.length} of ${files.length} files`)
  }
  return hashed
}

function changed(file: SourceFile): PlimsollError {
  return new PlimsollError(
    'conflict',
    'datasets.file_changed',
    `Cannot register "${file.path}": it changed while it was read`,
    { action: 'Run the step again when nothing writes to the file' },
  )
}

/** The digests above are those of the bytes that were checked only if no file changed in between. */
async function refuseChangedFiles(files: readonly SourceFile[]): Promise<void> {
  for (const file of files) {
    const now = await stat(file.path).catch(() => undefined)
    if (now?.size !== file.sizeBytes || now.mtimeMs !== file.mtimeMs) throw changed(file)
  }
}

async function countRows(scan: Scan): Promise<number[]> {
  const counts = scan.relation.files.map(() => 0)
  const rows = await selectRows(
    { ...scan, relation: { ...scan.relation, fileColumn: 'file_index' } },
    'SELECT file_index, count(*) FROM data GROUP BY file_index ORDER BY file_index',
  )
  for (const [file, count] of rows) counts[Number(file)] = Number(count)
  return counts
}

/** One SELECT serves expectations and profile; further ones look up histograms, frequent values and examples. */
async function inspect(
  scan: Scan,
  spec: DatasetVersionSpec,
  found: FoundSchema,
  command: StepCommand,
): Promise<{ profile: DatasetProfile; validation: ValidationResult }> {
  const { definition } = spec
  await checkPatterns(scan.engine, definition, command.signal)
  const context = { schema: definition.schema, foundColumns: found.columns }
  const suite = compileSuite(definition.expectations, context)
  const fromProfile = profileMeasures(definition.schema)
  const cells = await evaluateMeasures(scan, [...fromProfile, ...suiteMeasures(suite)])
  command.progress(0.7, 'profiling')
  const profile = await buildProfile(scan, definition.schema, cells.slice(0, fromProfile.length), spec.reference)
  command.progress(0.9, 'looking up examples')
  const meta = { extra_columns: [...found.extra], row_count: profile.rowCount, suite_digest: spec.suiteDigest }
  const validation = await judgeSuite(suite, cells.slice(fromProfile.length), scan, context, definition.name, meta)
  return { profile, validation }
}

/** RE2 has the last word on patterns: those it refuses are all named. */
async function checkPatterns(engine: QueryEngine, definition: DatasetDefinition, signal: AbortSignal): Promise<void> {
  const faults: Fault[] = []
  for (const [index, { kwargs }] of definition.expectations.entries()) {
    if (typeof kwargs.regex !== 'string') continue
    const { regex } = kwargs
    await engine
      .rows({ sql: `SELECT regexp_matches('', $1)`, inputs: {}, values: [regex], signal })
      .catch((error: unknown) => {
        signal.throwIfAborted()
        faults.push({
          pointer: `/expectations/${index}/kwargs/regex`,
          detail: `"${regex}" is no RE2 pattern: ${error instanceof Error ? error.message : String(error)}`,
        })
      })
  }
  refuseFaults(
    'datasets.bad_expectations',
    `Cannot check dataset "${definition.name}": ${countText(faults.length, 'pattern is', 'patterns are')} not valid`,
    faults,
  )
}

async function writeOutputs(
  command: StepCommand,
  { definition }: DatasetVersionSpec,
  files: readonly HashedFile[],
  rows: readonly number[],
  profile: DatasetProfile,
  validation: ValidationResult,
): Promise<void> {
  const directory = outputPath(command, 'version')
  await mkdir(directory, { recursive: true })
  const isCopy = definition.storage === 'copy'
  const stored = new Map<string, HashedFile>()
  const entries: DatasetOutput['files'] = []
  for (const [index, file] of files.entries()) {
    const count = rows[index] ?? 0
    if (!isCopy) {
      entries.push({ location: file.path, digest: file.digest, sizeBytes: file.sizeBytes, rows: count })
      continue
    }
    const path = `part-${String(index).padStart(5, '0')}.${definition.source.format}`
    await copyFile(file.path, join(directory, path))
    const copied = await digestFile(join(directory, path))
    if (copied.digest !== file.digest) throw changed(file)
    stored.set(path, file)
    entries.push({ path, rows: count })
  }
  const output: DatasetOutput = { ...formOf(definition), files: entries }
  const locations = isCopy
    ? []
    : files.map(({ digest, path, sizeBytes, mtimeMs }) => ({ digest, location: path, sizeBytes, mtimeMs }))
  await writeJson(join(directory, 'manifest.json'), output as unknown as Json) // plain data by its schema
  await writeJson(outputPath(command, 'profile'), profile as unknown as Json) // plain data by its schema
  await writeJson(outputPath(command, 'validation'), validation as unknown as Json) // plain data by its schema
  await writeJson(outputPath(command, 'places'), { manifest: toManifest(output, stored) as unknown as Json, locations }) // plain data by its schema
  command.progress(
    1,
    validation.success
      ? 'all expectations hold'
      : `${countText(validation.statistics.unsuccessful_expectations, 'expectation')} failed`,
  )
}

function outputPath(command: StepCommand, name: string): string {
  const path = command.outputs[name]
  if (path === undefined)
    throw new PlimsollError('internal', 'datasets.output_missing', `Cannot write output "${name}": no path was given`)
  return path
}

async function writeJson(path: string, value: Json): Promise<void> {
  await writeFile(path, canonicalJson(value))
}
