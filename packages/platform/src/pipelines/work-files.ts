import { createWriteStream } from 'node:fs'
import { chmod, copyFile, lstat, mkdir, readdir, stat, writeFile } from 'node:fs/promises'
import { dirname, join, resolve, sep } from 'node:path'
import { pipeline as pipe } from 'node:stream/promises'
import type { BlobStore } from '@plimsoll/sdk/seams'
import {
  type CodeBundle,
  type DatasetManifest,
  type DatasetOutput,
  datasetManifest,
  datasetOutput,
  type PipelineStep,
} from '@plimsoll/sdk/wire'
import { z } from 'zod'
import { type FileLocation, locationsOf, requireUnaltered, toManifest } from '../datasets/index.ts'
import { canonicalJson, type Json } from '../kernel/canonical.ts'
import type { Context } from '../kernel/db/index.ts'
import type { Digest, TreeEntry } from '../kernel/digest.ts'
import { PlimsollError } from '../kernel/errors.ts'
import { openRegular, readRegular } from '../kernel/regular-file.ts'
import type { OutputType, StepInputFiles, StepOutput } from '../kernel/step-kind.ts'
import { jsonFaultPlace } from './json-fault.ts'
import type { LaunchDeps } from './launch.ts'
import type { NamedOutputs } from './tables.ts'

const JSON_BYTES_MAX = 4 << 20
const MANIFEST_BYTES_MAX = 16 << 20
const DIRECTORY_ENTRIES_MAX = 100_000
/** Faults of a manifest that a reason names. */
const MANIFEST_ISSUES_MAX = 5

/** A manifest of a `directory` output: its files by digest. Stored as a blob, whose digest names the directory. */
interface DirectoryManifest {
  readonly directory: 1
  readonly entries: readonly TreeEntry[]
}

export async function readBlobText(blobs: BlobStore, digest: string): Promise<string> {
  const chunks: Uint8Array[] = []
  for await (const chunk of blobs.get(digest)) chunks.push(chunk)
  return Buffer.concat(chunks).toString('utf8')
}

/** Puts a blob where a step may read it: by its local path where there is one, else by copy. */
async function placeBlob(blobs: BlobStore, digest: string, path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const local = blobs.localPath(digest)
  if (local !== undefined) await copyFile(local, path)
  else await pipe(blobs.get(digest), createWriteStream(path, { flags: 'wx', mode: 0o400 }))
}

async function localFile(blobs: BlobStore, digest: string, inputsDir: string, name: string): Promise<string> {
  const local = blobs.localPath(digest)
  if (local !== undefined) return local
  const path = join(inputsDir, name)
  await placeBlob(blobs, digest, path)
  return path
}

/** Files of a dataset, in the manifest's order: blobs, or in-place files that still are what they were, the `own` before others. */
async function datasetFiles(
  ctx: Context,
  blobs: BlobStore,
  manifest: DatasetManifest,
  inputsDir: string,
  own: ReadonlySet<string>,
): Promise<string[]> {
  const locations = await locationsOf(
    ctx,
    manifest.files.map((file) => file.digest),
  )
  const files: string[] = []
  for (const [index, file] of manifest.files.entries()) {
    const places = (locations.get(file.digest) ?? []).map(({ location }) => location)
    const [first, ...rest] = [...places.filter((place) => own.has(place)), ...places.filter((place) => !own.has(place))]
    if (await blobs.stat(file.digest))
      files.push(await localFile(blobs, file.digest, inputsDir, `${index}.${manifest.format}`))
    else if (first !== undefined) files.push(await requireUnaltered([first, ...rest], file))
    else {
      throw new PlimsollError(
        'precondition',
        'pipelines.input_lost',
        `Cannot read dataset file ${file.digest}: it is neither stored nor known in place`,
        { action: 'Add the dataset again, or restore the file' },
      )
    }
  }
  return files
}

/**
 * Makes the inputs of a step readable below its work directory. Of equal files that lie in several places those in `own`
 * are tried first. @throws precondition datasets.file_altered · pipelines.input_lost
 */
export async function placeInputs(
  ctx: Context,
  blobs: BlobStore,
  inputs: NamedOutputs,
  workDir: string,
  own: ReadonlySet<string> = new Set(),
): Promise<Record<string, StepInputFiles>> {
  const placed: Record<string, StepInputFiles> = {}
  for (const [name, input] of Object.entries(inputs)) {
    const inputsDir = join(workDir, 'in', name)
    await mkdir(inputsDir, { recursive: true, mode: 0o700 })
    const digest = input.digest
    if (input.type === 'dataset') {
      const manifest = datasetManifest.parse(JSON.parse(await readBlobText(blobs, digest)))
      const path = join(inputsDir, 'manifest.json')
      const files = await datasetFiles(ctx, blobs, manifest, inputsDir, own)
      await writeFile(path, canonicalJson(manifest), { mode: 0o600 })
      placed[name] = { type: 'dataset', digest, path, files }
    } else if (input.type === 'directory') {
      const manifest = JSON.parse(await readBlobText(blobs, digest)) as DirectoryManifest // stored by storeDirectory
      for (const entry of manifest.entries) await placeBlob(blobs, entry.digest, join(inputsDir, 'tree', entry.path))
      const path = join(inputsDir, 'tree')
      placed[name] = { type: 'directory', digest, path, files: manifest.entries.map((entry) => join(path, entry.path)) }
    } else {
      const path = await localFile(blobs, digest, inputsDir, input.type === 'onnx' ? `${name}.onnx` : name)
      placed[name] = { type: input.type, digest, path, files: [path] }
    }
  }
  return placed
}

/** Writes the files of a code bundle below a directory. */
export async function placeBundle(blobs: BlobStore, bundle: CodeBundle, directory: string): Promise<void> {
  for (const file of bundle.files) {
    const path = resolve(directory, file.path)
    if (!path.startsWith(directory + sep))
      throw new PlimsollError(
        'invalid',
        'pipelines.bad_bundle_path',
        `Cannot write bundle file "${file.path}": it leaves the bundle`,
      )
    await placeBlob(blobs, file.digest, path)
    await chmod(path, file.executable ? 0o700 : 0o600)
  }
}

/** Undefined where there is no regular file. */
async function storeFile(blobs: BlobStore, path: string): Promise<{ digest: Digest; sizeBytes: number } | undefined> {
  const file = await openRegular(path)
  if (file === undefined) return undefined
  try {
    const stored = await blobs.put(file.createReadStream({ highWaterMark: 1 << 20, autoClose: false }))
    return { digest: stored.digest as Digest, sizeBytes: stored.sizeBytes } // the store gives digests of our form
  } finally {
    await file.close()
  }
}

function missing(step: string, name: string, detail: string): PlimsollError {
  return new PlimsollError(
    'invalid',
    'pipelines.output_missing',
    `Step ${step} ended well, but its output "${name}" ${detail}`,
  )
}

/** Before anything is stored; what stands in place counts for nothing. */
async function refuseLarge(step: string, names: readonly string[], workDir: string, limitBytes: number): Promise<void> {
  let bytes = 0
  const add = async (path: string): Promise<void> => {
    const stat = await lstat(path).catch(() => undefined)
    if (stat?.isDirectory()) for (const child of await readdir(path)) await add(join(path, child))
    else bytes += stat?.size ?? 0
  }
  for (const name of names) await add(join(workDir, 'out', name))
  if (bytes > limitBytes)
    throw new PlimsollError(
      'invalid',
      'pipelines.output_too_large',
      `Step ${step} ended well, but its outputs are ${bytes} bytes, more than the ${limitBytes} that a step may hand on`,
      { action: 'Hand on less, or raise steps.outputLimitBytes' },
    )
}

async function storeDirectory(
  blobs: BlobStore,
  root: string,
  step: string,
  name: string,
): Promise<{ digest: Digest; sizeBytes: number; parts: string[] }> {
  const entries: TreeEntry[] = []
  const walk = async (relative: string): Promise<void> => {
    for (const child of (await readdir(join(root, relative))).sort()) {
      const path = relative ? `${relative}/${child}` : child
      const found = await lstat(join(root, path)).catch(() => undefined) // none by a name that is not UTF-8
      if (found?.isDirectory()) {
        await walk(path)
        continue
      }
      const stored = found?.isFile() ? await storeFile(blobs, join(root, path)) : undefined
      if (found === undefined || stored === undefined)
        throw missing(step, name, `holds "${path}", which is no regular file with a name in UTF-8`)
      entries.push({ path, ...stored, executable: (found.mode & 0o111) !== 0 })
      if (entries.length > DIRECTORY_ENTRIES_MAX)
        throw missing(step, name, `holds more than ${DIRECTORY_ENTRIES_MAX} files`)
    }
  }
  await walk('')
  // The platform makes the directory: empty, it says nothing of the step.
  if (entries.length === 0) throw missing(step, name, 'holds no file: write at least one below its path')
  const stored = await blobs.put(Buffer.from(canonicalJson({ directory: 1, entries } satisfies DirectoryManifest)))
  return {
    digest: stored.digest as Digest,
    sizeBytes: entries.reduce((sum, entry) => sum + entry.sizeBytes, 0),
    parts: entries.map((entry) => entry.digest),
  }
}

/** Whole: what is cut before it is hidden may hold a part of a value. */
function wrongManifest(step: string, name: string, { issues }: z.ZodError): PlimsollError {
  const faults = issues.slice(0, MANIFEST_ISSUES_MAX).map(({ path, message }) => `${path.join('/')} ${message}`)
  return missing(step, name, `has a manifest.json that is wrong: ${faults.join('; ')}`)
}

/** More files or rows than a manifest may name are the step's fault, too. */
function manifestOf(output: DatasetOutput, stored: Parameters<typeof toManifest>[1], step: string, name: string) {
  try {
    return toManifest(output, stored)
  } catch (error) {
    throw error instanceof z.ZodError ? wrongManifest(step, name, error) : error
  }
}

const whyNot = (found: unknown) => (found === undefined ? 'which is not there' : 'which is no file of its own')

async function readDatasetOutput(root: string, step: string, name: string) {
  const names = await readdir(root)
  if (!names.includes('manifest.json')) {
    const parts = names.filter((file) => file.endsWith('.parquet')).sort()
    if (parts.length === 0) throw missing(step, name, 'holds no manifest.json and no Parquet file')
    return { format: 'parquet' as const, schema: {}, files: parts.map((path) => ({ path, rows: 0 })) }
  }
  const bytes = await readRegular(join(root, 'manifest.json'), MANIFEST_BYTES_MAX)
  if (bytes === undefined)
    throw missing(step, name, `has a manifest.json that is no regular file of at most ${MANIFEST_BYTES_MAX} bytes`)
  const text = String(bytes)
  let manifest: unknown
  try {
    manifest = JSON.parse(text)
  } catch {
    throw missing(step, name, `has a manifest.json that is no JSON${jsonFaultPlace(text)}`)
  }
  const parsed = datasetOutput.safeParse(manifest)
  if (!parsed.success) throw wrongManifest(step, name, parsed.error)
  return parsed.data
}

async function storeDataset(
  blobs: BlobStore,
  root: string,
  step: string,
  name: string,
): Promise<{ digest: Digest; sizeBytes: number; locations: FileLocation[]; parts: string[] }> {
  const output = await readDatasetOutput(root, step, name)
  const stored = new Map<string, { digest: string; sizeBytes: number }>()
  const locations: FileLocation[] = []
  for (const file of output.files) {
    if ('location' in file) {
      const found = await stat(file.location).catch(() => undefined)
      if (!found?.isFile()) throw missing(step, name, `names "${file.location}", ${whyNot(found)}`)
      locations.push({
        digest: file.digest as Digest,
        location: file.location,
        sizeBytes: file.sizeBytes,
        mtimeMs: found.mtimeMs,
      })
      continue
    }
    const path = resolve(root, file.path)
    const isInside = path.startsWith(root + sep)
    const found = isInside ? await lstat(path).catch(() => undefined) : null
    const own = isInside ? await storeFile(blobs, path) : undefined
    if (own === undefined) throw missing(step, name, `names "${file.path}", ${whyNot(found)}`)
    stored.set(file.path, own)
  }
  const manifest = manifestOf(output, stored, step, name)
  const { digest } = await blobs.put(Buffer.from(canonicalJson(manifest)))
  return {
    digest: digest as Digest,
    sizeBytes: manifest.files.reduce((sum, file) => sum + file.sizeBytes, 0),
    locations,
    parts: [...stored.values()].map((file) => file.digest),
  }
}

export interface CollectedOutputs {
  readonly outputs: Record<string, StepOutput>
  /** What the manifests among them name, by their digest: as far as it was stored. */
  readonly parts: Map<string, readonly string[]>
  readonly json: Record<string, Json>
  readonly locations: FileLocation[]
}

/**
 * Stores what a step left under `out/`, each output by its type; all blobs are durable when this returns. Links, missing
 * outputs and wrong manifests are faults of the step.
 * @throws invalid pipelines.output_missing · pipelines.output_too_large
 */
export async function collectOutputs(
  { blobs, limits }: Pick<LaunchDeps, 'blobs' | 'limits'>,
  step: Pick<PipelineStep, 'key'>,
  declared: Readonly<Record<string, OutputType>>,
  workDir: string,
): Promise<CollectedOutputs> {
  await refuseLarge(step.key, Object.keys(declared), workDir, limits.outputBytes)
  const collected: CollectedOutputs = { outputs: {}, parts: new Map(), json: {}, locations: [] }
  for (const [name, type] of Object.entries(declared)) {
    const path = join(workDir, 'out', name)
    const stat = await lstat(path).catch(() => undefined)
    if (stat === undefined) throw missing(step.key, name, `is not there: write it to the path of output "${name}"`)
    const isTree = type === 'directory' || type === 'dataset'
    if (isTree ? !stat.isDirectory() : !stat.isFile())
      throw missing(step.key, name, `is no regular ${isTree ? 'directory' : 'file'}`)
    if (type === 'json') {
      if (stat.size > JSON_BYTES_MAX) throw missing(step.key, name, `is larger than ${JSON_BYTES_MAX} bytes`)
      const bytes = await readRegular(path, JSON_BYTES_MAX)
      if (bytes === undefined) throw missing(step.key, name, 'is no regular file')
      const text = String(bytes)
      try {
        collected.json[name] = JSON.parse(text) as Json
      } catch {
        throw missing(step.key, name, `is not JSON${jsonFaultPlace(text)}`)
      }
    }
    if (type === 'dataset') {
      const { locations, parts, ...stored } = await storeDataset(blobs, path, step.key, name)
      collected.locations.push(...locations)
      collected.parts.set(stored.digest, parts)
      collected.outputs[name] = { name, type, ...stored }
    } else if (type === 'directory') {
      const { parts, ...stored } = await storeDirectory(blobs, path, step.key, name)
      collected.parts.set(stored.digest, parts)
      collected.outputs[name] = { name, type, ...stored }
    } else {
      const stored = await storeFile(blobs, path)
      if (stored === undefined) throw missing(step.key, name, 'is no regular file')
      collected.outputs[name] = { name, type, ...stored }
    }
  }
  return collected
}
