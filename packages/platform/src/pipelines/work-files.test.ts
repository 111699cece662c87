import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
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

/** What a step left, by path below `out`. */
function workDirOf(left: Readonly<Record<string, string>>): string {
  const workDir = mkdtempSync(join(folder, 'step-'))
  for (const [path, text] of Object.entries(left)) {
    mkdirSync(join(workDir, 'out', path, '..'), { recursive: true })
    writeFileSync(join(workDir, 'out', path), text)
  }
  return workDir
}

const collect = (type: 'file' | 'json' | 'directory' | 'dataset', left: Readonly<Record<string, string>>) =>
  collectOutputs({ blobs, limits: { outputBytes: 1_000 } as never }, { key: 'fit' }, { made: type }, workDirOf(left)) // no other limit is read

test.each([
  ['a file that is not there', 'file', {}, 'is not there: write it to the path of output "made"'],
  ['a directory where a file should be', 'file', { 'made/x': '' }, 'is no regular file'],
  ['a file where a directory should be', 'directory', { made: '' }, 'is no regular directory'],
  ['JSON that is none', 'json', { made: '{' }, 'is not JSON'],
  ['a dataset of nothing', 'dataset', { 'made/x.csv': '' }, 'holds no manifest.json and no Parquet file'],
  ['a manifest that is wrong', 'dataset', { 'made/manifest.json': '[]' }, 'has a manifest.json that is wrong'],
] as const)('collectOutputs() refuses %s', async (_, type, left, why) => {
  await expect(collect(type, left)).rejects.toMatchObject({
    code: 'pipelines.output_missing',
    message: expect.stringContaining(`Step fit ended well, but its output "made" ${why}`),
  })
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
