import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { QueryEngine } from '@plimsoll/sdk/seams'
import { type DatasetDefinition, datasetOutput } from '@plimsoll/sdk/wire'
import type { Json } from '../kernel/canonical.ts'
import type { Context } from '../kernel/db/index.ts'
import { digestBytes, digestFile, digestValue } from '../kernel/digest.ts'
import { silentLog } from '../kernel/log.ts'
import type { StepOutput } from '../kernel/step-kind.ts'
import { toManifest } from './content/manifest.ts'
import { declareDataset } from './dataset.ts'
import { datasetVersionStep } from './dataset-version-step.ts'

const folders = new Set<string>()

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'plimsoll-datasets-'))
  folders.add(folder)
  return folder
}

/** For the end of a test file: files of one process share this module, and no hook of it would be theirs. */
export function removeTemporaryFolders(): void {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
  folders.clear()
}

/** Runs resolve, command and commit of `dataset-version` as an executor would, in this process. */
export async function runDatasetVersion(
  ctx: Context,
  engine: QueryEngine,
  params: Json,
  progress: (fraction: number, message: string) => void = () => {},
): Promise<Record<string, Json>> {
  const spec = await datasetVersionStep.resolve!(ctx, { params, inputs: {} })
  const workDir = temporaryFolder()
  const outputs = Object.fromEntries(Object.keys(datasetVersionStep.outputs).map((name) => [name, join(workDir, name)]))
  mkdirSync(outputs.version!)
  const attempt = { run: 'run_1', step: 'add', attempt: 'att_1' }
  const signal = new AbortController().signal
  await datasetVersionStep.command!({
    ...attempt,
    spec,
    inputs: {},
    outputs,
    workDir,
    engine: async () => engine,
    log: silentLog,
    progress,
    signal,
  })
  const output = datasetOutput.parse(JSON.parse(readFileSync(join(outputs.version!, 'manifest.json'), 'utf8')))
  const stored = new Map<string, { digest: string; sizeBytes: number }>()
  for (const file of output.files)
    if ('path' in file) stored.set(file.path, await digestFile(join(outputs.version!, file.path)))
  const stepOutputs: Record<string, StepOutput> = {
    version: { name: 'version', type: 'dataset', digest: digestValue(toManifest(output, stored)), sizeBytes: 0 },
  }
  const json: Record<string, Json> = {}
  for (const name of ['profile', 'validation', 'places']) {
    const bytes = readFileSync(outputs[name]!)
    stepOutputs[name] = { name, type: 'json', digest: digestBytes(bytes), sizeBytes: bytes.length }
    json[name] = JSON.parse(bytes.toString('utf8')) as Json // written by the command
  }
  const committed = await ctx.transaction((tx) =>
    datasetVersionStep.commit!(tx, { ...attempt, spec, inputs: {}, outputs: stepOutputs, json }),
  )
  return { ...(committed as Record<string, Json>), ...json } // commit returns an object
}

export function declare(
  ctx: Context,
  definition: Omit<DatasetDefinition, 'kind' | 'storage' | 'expectations'> & Partial<DatasetDefinition>,
) {
  return ctx.transaction((tx) =>
    declareDataset(tx, { kind: 'dataset', storage: 'in-place', expectations: [], ...definition }),
  )
}
