import { readFile, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { InputRelation } from '@plimsoll/sdk/seams'
import { type ColumnType, type DatasetManifest, type DatasetOutput, datasetManifest } from '@plimsoll/sdk/wire'
import { relationOf, toManifest } from '../datasets/content/index.ts'
import { canonicalJson, type Json } from '../kernel/canonical.ts'
import { digestFile } from '../kernel/digest.ts'
import { PlimsollError } from '../kernel/errors.ts'
import type { StepCommand, StepOutput } from '../kernel/step-kind.ts'

export interface ReadDataset {
  readonly manifest: DatasetManifest
  readonly relation: InputRelation
}

/** A dataset input of a step, with its files typed as its manifest says. */
export async function readDatasetInput(command: StepCommand, name: string): Promise<ReadDataset> {
  const input = command.inputs[name]
  if (input?.type !== 'dataset')
    throw new PlimsollError(
      'invalid',
      'features.input_missing',
      `Cannot run the step: input "${name}" is not a dataset`,
    )
  const manifest = datasetManifest.parse(JSON.parse(await readFile(input.path, 'utf8')))
  return { manifest, relation: relationOf(manifest, input.files) }
}

export function outputPath(command: StepCommand, name: string): string {
  const path = command.outputs[name]
  if (path === undefined)
    throw new PlimsollError('internal', 'features.output_missing', `Cannot write output "${name}": no path was given`)
  return path
}

export async function writeJson(path: string, value: Json): Promise<void> {
  await writeFile(path, canonicalJson(value))
}

/** A dataset's name as the name of a step's input: input names have no dash. */
export function inputName(dataset: string): string {
  return dataset.replaceAll('-', '_')
}

/** @throws invalid features.input_missing */
export function requireDatasetInput(
  inputs: Readonly<Record<string, StepOutput>>,
  name: string,
  what: string,
): StepOutput {
  const input = inputs[name]
  if (input?.type === 'dataset') return input
  throw new PlimsollError(
    'invalid',
    'features.input_missing',
    `Cannot prepare the step: input "${name}" must be a dataset, ${what}`,
  )
}

/** Leaves one Parquet file as a dataset output, and its manifest as a `json` output for the commit. */
export async function writeDatasetOutput(
  command: StepCommand,
  made: { name: string; manifest: string; schema: Readonly<Record<string, ColumnType>>; file: string; rows: number },
): Promise<void> {
  const path = basename(made.file)
  const output: DatasetOutput = { format: 'parquet', schema: { ...made.schema }, files: [{ path, rows: made.rows }] }
  const manifest = toManifest(output, new Map([[path, await digestFile(made.file)]]))
  await writeJson(join(dirname(made.file), 'manifest.json'), output as unknown as Json) // plain data by its schema
  await writeJson(outputPath(command, made.manifest), manifest as unknown as Json) // plain data by its schema
}
