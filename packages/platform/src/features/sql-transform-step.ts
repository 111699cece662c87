import { datasetManifest } from '@plimsoll/sdk/wire'
import { registerVersion, seeWrittenAgain } from '../datasets/index.ts'
import type { Json } from '../kernel/canonical.ts'
import type { Context, Tx } from '../kernel/db/index.ts'
import type { StepKind, StepOutput, StepResult } from '../kernel/step-kind.ts'
import { runSqlTransformCommand, sqlTransformParams } from './sql-transform-command.ts'
import { requireDatasetInput } from './step-files.ts'

async function resolveStep(
  _ctx: Context,
  { params, inputs }: { params: Json; inputs: Readonly<Record<string, StepOutput>> },
): Promise<Json> {
  const wanted = sqlTransformParams.parse(params)
  for (const name of Object.keys(inputs)) requireDatasetInput(inputs, name, 'the statement reads it as a table')
  return JSON.parse(JSON.stringify(wanted)) as Json // plain data
}

async function commitStep(tx: Tx, result: StepResult): Promise<Json | undefined> {
  const { dataset } = sqlTransformParams.parse(result.spec)
  if (dataset === undefined) return undefined
  const manifest = datasetManifest.parse(result.json.manifest)
  const registered = await registerVersion(tx, {
    dataset,
    derived: true,
    manifest,
    digest: result.outputs.result!.digest,
    strength: 'content',
    run: result.run,
    step: result.step,
  })
  return { dataset, version: registered.version, digest: registered.digest, rowCount: registered.rowCount }
}

/** Runs one SELECT over dataset inputs and keeps its result as a dataset. */
export const sqlTransformStep: StepKind = {
  kind: 'sql-transform',
  outputs: { result: 'dataset', manifest: 'json' },
  params: sqlTransformParams,
  cacheable: true,
  resolve: resolveStep,
  command: runSqlTransformCommand,
  commit: commitStep,
  reuse: seeWrittenAgain,
}
