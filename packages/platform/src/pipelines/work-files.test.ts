import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BlobStore } from '@plimsoll/sdk/seams'
import { pipelineStep } from '@plimsoll/sdk/wire'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openFilesBlobStore } from '../adapters/files/index.ts'
import type { LaunchDeps } from './launch.ts'
import { placeAttempt } from './launch.ts'
import type { ClaimedStep } from './store.ts'
import { collectOutputs, placeBundle } from './work-files.ts'

const folder = mkdtempSync(join(tmpdir(), 'plimsoll-work-'))
let blobs: BlobStore
beforeAll(async () => {
  blobs = await openFilesBlobStore(join(folder, 'blobs'))
})
afterAll(async () => {
  await blobs.close()
  rmSync(folder, { recursive: true })
})

/** What a step left, by path below `out`; without a text nothing but the directory. */
type Left = Readonly<Record<string, string | undefined>>

function workDirOf(left: Left): string {
  const workDir = mkdtempSync(join(folder, 'step-'))
  for (const [path, text] of Object.entries(left)) {
    mkdirSync(join(workDir, 'out', path, '..'), { recursive: true })
    if (text !== undefined) writeFileSync(join(workDir, 'out', path), text)
  }
  return workDir
}

const collect = (type: 'file' | 'json' | 'directory' | 'dataset', left: Left) =>
  collectOutputs({ blobs, limits: { outputBytes: 1_000 } as never }, { key: 'fit' }, { made: type }, workDirOf(left)) // no other limit is read

const DIGEST = `sha256:${'0'.repeat(64)}`
const manifestText = (files: readonly object[]) => JSON.stringify({ format: 'csv', schema: {}, files })
const manifestOf = (path: string) => ({ 'made/manifest.json': manifestText([{ path, rows: 1 }]) })

test.each([
  ['a file that is not there', 'file', {}, 'is not there: write it to the path of output "made"'],
  ['a directory where a file should be', 'file', { 'made/x': '' }, 'is no regular file'],
  ['a file where a directory should be', 'directory', { made: '' }, 'is no regular directory'],
  ['a directory without a file', 'directory', { 'made/in/gone': undefined }, 'holds no file: write at least one'],
  ['JSON that is none', 'json', { made: '{\n "canary": NaN}' }, 'is not JSON: see its line 2, column 12 (NaN)'],
  ['a dataset of nothing', 'dataset', { 'made/x.csv': '' }, 'holds no manifest.json and no Parquet file'],
  ['a manifest that is wrong', 'dataset', { 'made/manifest.json': '[]' }, 'has a manifest.json that is wrong'],
  [
    'a manifest that is torn',
    'dataset',
    { 'made/manifest.json': '{"a": "canary-1' },
    'has a manifest.json that is no JSON: see its line 1, column 16',
  ],
  ['a manifest of a part that is not there', 'dataset', manifestOf('x.csv'), 'names "x.csv", which is not there'],
  ['a manifest of a name that is none', 'dataset', manifestOf('x\0'), 'names "x\0", which is not there'],
  [
    'a manifest of more rows than can be counted',
    'dataset',
    {
      'made/manifest.json': manifestText([
        { location: import.meta.filename, digest: DIGEST, sizeBytes: 1, rows: Number.MAX_SAFE_INTEGER },
        { location: import.meta.filename, digest: DIGEST, sizeBytes: 1, rows: Number.MAX_SAFE_INTEGER },
      ]),
    },
    'has a manifest.json that is wrong: rowCount',
  ],
  ['a manifest of what lies elsewhere', 'dataset', manifestOf('../x'), 'names "../x", which is no file of its own'],
  [
    'a manifest of a folder',
    'dataset',
    { ...manifestOf('x'), 'made/x/y': '' },
    'names "x", which is no file of its own',
  ],
  [
    'a manifest of a place where nothing is',
    'dataset',
    { 'made/manifest.json': manifestText([{ location: '/none/x.csv', digest: DIGEST, sizeBytes: 1, rows: 1 }]) },
    'names "/none/x.csv", which is not there',
  ],
  [
    'a manifest of a device',
    'dataset',
    { 'made/manifest.json': manifestText([{ location: '/dev/zero', digest: DIGEST, sizeBytes: 1, rows: 1 }]) },
    'names "/dev/zero", which is no file of its own',
  ],
] as const)('collectOutputs() refuses %s', async (_, type, left, why) => {
  await expect(collect(type, left)).rejects.toMatchObject({
    code: 'pipelines.output_missing',
    message: expect.stringContaining(`Step fit ended well, but its output "made" ${why}`),
  })
})

const pipe = (path: string) => execFileSync('mkfifo', [path])
const link = (path: string) => symlinkSync('/etc/passwd', path)
/** A name that is no UTF-8. */
const odd = (path: string) => writeFileSync(Buffer.concat([Buffer.from(join(path, '..')), Buffer.from([47, 0xff])]), '')

test.each([
  ['a pipe as a manifest', 'dataset', 'made/manifest.json', pipe, 'has a manifest.json that is no regular file'],
  ['a link as a manifest', 'dataset', 'made/manifest.json', link, 'has a manifest.json that is no regular file'],
  ['a pipe as a part', 'dataset', 'made/x.parquet', pipe, 'names "x.parquet", which is no file of its own'],
  ['a link as a part', 'dataset', 'made/x.parquet', link, 'names "x.parquet", which is no file of its own'],
  ['a pipe in a directory', 'directory', 'made/x', pipe, 'holds "x", which is no regular file'],
  [
    'a name that is no UTF-8',
    'directory',
    'made/x',
    odd,
    'holds "\ufffd", which is no regular file with a name in UTF-8',
  ],
  ['a pipe as a file', 'file', 'made', pipe, 'is no regular file'],
  ['a link as JSON', 'json', 'made', link, 'is no regular file'],
] as const)('collectOutputs() neither waits for nor follows %s', async (_, type, path, plant, why) => {
  const workDir = workDirOf({ [`${path}.beside`]: '' })
  rmSync(join(workDir, 'out', `${path}.beside`))
  plant(join(workDir, 'out', path))
  const collecting = collectOutputs(
    { blobs, limits: { outputBytes: 1_000 } as never }, // no other limit is read
    { key: 'fit' },
    { made: type },
    workDir,
  )
  await expect(collecting).rejects.toMatchObject({
    code: 'pipelines.output_missing',
    message: expect.stringContaining(why),
  })
})

test('collectOutputs() says nothing of a torn manifest, and cuts nothing of what it says of a wrong one', async () => {
  const torn = collect('dataset', { 'made/manifest.json': '{"password": canary-1}' })
  await expect(torn).rejects.not.toThrow('cana')
  // What is cut here could hold half a value, which nobody could hide any more.
  const key = 'k'.repeat(600)
  const wrong = collect('dataset', {
    'made/manifest.json': JSON.stringify({ format: 'csv', schema: {}, files: [], [key]: 1 }),
  })
  await expect(wrong).rejects.toThrow(key)
})

test('collectOutputs() refuses more bytes than a step may hand on, all files of a directory counted', async () => {
  const left = { 'made/a': 'x'.repeat(600), 'made/b': 'x'.repeat(401) }
  await expect(collect('directory', left)).rejects.toMatchObject({ code: 'pipelines.output_too_large' })
})

test('placeBundle() writes nothing outside its directory', async () => {
  const directory = join(folder, 'code')
  const file = { ...(await blobs.put(Buffer.from('x'))), path: '../escaped', executable: false }
  const bundle = { digest: file.digest, files: [file] } as never // a path that no apply takes
  await expect(placeBundle(blobs, bundle, directory)).rejects.toMatchObject({ code: 'pipelines.bad_bundle_path' })
  expect(readdirSync(folder)).not.toContain('escaped')
})

test('placeAttempt() refuses arguments that are no list of texts', async () => {
  const definition = pipelineStep.parse({ key: 'go', kind: 'command', params: { argv: 'true' } })
  const step = { run: 'run_1', fence: 1n, key: 'go', definition } as ClaimedStep // what is read of it
  const deps = { blobs, kinds: new Map(), runsDir: folder } as unknown as LaunchDeps // likewise
  const prepared = { params: definition.params, spec: null, components: {}, isCacheable: false } as never // likewise
  const placing = placeAttempt({} as never, deps, step, { prepared, inputs: {}, bundles: {}, report: () => {} })
  await expect(placing).rejects.toMatchObject({
    code: 'pipelines.bad_argv',
    message: 'Cannot start the step: argv must be a list of texts',
  })
})
