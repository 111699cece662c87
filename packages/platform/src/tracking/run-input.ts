import type { Context } from '../kernel/db/index.ts'
import type { Pair } from './experiment.ts'
import { refusal } from './failure.ts'
import { lockWritableRun, upsertTags } from './run.ts'

export interface DatasetInput {
  readonly name: string
  readonly digest: string
  readonly sourceType: string
  readonly source: string
  readonly schema?: string | undefined
  readonly profile?: string | undefined
  readonly tags: readonly Pair[]
}

/** Notes what a run read. The same dataset again is a no-op: the tags of the first stay. */
export async function logInputs(
  ctx: Context,
  id: string,
  inputs: { datasets: readonly DatasetInput[]; models: readonly string[] },
): Promise<void> {
  await ctx.transaction(async (tx) => {
    const run = await lockWritableRun(tx, id)
    for (const dataset of inputs.datasets) {
      const { no } = await tx.db
        .insertInto('tracked_dataset')
        .values({
          project: tx.project,
          experiment: run.experiment,
          name: dataset.name,
          digest: dataset.digest,
          source_type: dataset.sourceType,
          source: dataset.source,
          schema: dataset.schema ?? null,
          profile: dataset.profile ?? null,
        })
        // an update of nothing returns the row that is there
        .onConflict((conflict) =>
          conflict
            .columns(['project', 'experiment', 'name', 'digest'])
            .doUpdateSet((eb) => ({ name: eb.ref('excluded.name') })),
        )
        .returning('no')
        .executeTakeFirstOrThrow()
      const context = dataset.tags.find((tag) => tag.key === 'mlflow.data.context')?.value ?? null
      await tx.db
        .insertInto('tracked_input')
        .values({ project: tx.project, run_no: run.no, dataset_no: no, tags: JSON.stringify(dataset.tags), context })
        .onConflict((conflict) => conflict.doNothing())
        .execute()
    }
    await linkModels(
      tx,
      run.no,
      'input',
      inputs.models.map((model) => ({ model, step: 0n })),
    )
  })
}

async function linkModels(
  tx: Parameters<Parameters<Context['transaction']>[0]>[0],
  runNo: bigint,
  direction: 'input' | 'output',
  models: readonly { model: string; step: bigint }[],
): Promise<void> {
  if (models.length === 0) return
  await tx.db
    .insertInto('tracked_model_link')
    .values(models.map(({ model, step }) => ({ project: tx.project, run_no: runNo, direction, model, step })))
    .onConflict((conflict) =>
      conflict.columns(['run_no', 'direction', 'model']).doUpdateSet((eb) => ({ step: eb.ref('excluded.step') })),
    )
    .execute()
}

export async function logOutputs(
  ctx: Context,
  id: string,
  models: readonly { model: string; step: bigint }[],
): Promise<void> {
  await ctx.transaction(async (tx) => {
    const run = await lockWritableRun(tx, id)
    await linkModels(tx, run.no, 'output', [...new Map(models.map((link) => [link.model, link])).values()])
  })
}

const HISTORY_TAG = 'mlflow.log-model.history'
const HISTORY_CHARS_MAX = 1 << 21
const MODEL_FIELDS = ['artifact_path', 'flavors', 'utc_time_created', 'run_id'] as const

/** Appends an MLmodel document to the run's history of logged models, as MLflow 2 and older clients do. */
export async function logModelDocument(ctx: Context, id: string, text: string): Promise<void> {
  let document: unknown
  try {
    document = JSON.parse(text)
  } catch {
    throw refusal(`Malformed model info. \n ${text.slice(0, 200)} \n is not valid JSON.`)
  }
  const members = typeof document === 'object' && document !== null ? (document as Record<string, unknown>) : {}
  const lacking = MODEL_FIELDS.filter((field) => !Object.hasOwn(members, field))
  if (lacking.length > 0)
    throw refusal(`Model json is missing mandatory fields: [${lacking.map((name) => `'${name}'`).join(', ')}]`)
  await ctx.transaction(async (tx) => {
    const run = await lockWritableRun(tx, id)
    const row = await tx.db
      .selectFrom('tracked_tag')
      .select('value')
      .where('run_no', '=', run.no)
      .where('key', '=', HISTORY_TAG)
      .executeTakeFirst()
    await upsertTags(tx, run, [{ key: HISTORY_TAG, value: withDocument(row?.value, document) }])
  })
}

/** A client may have set the tag to anything: what is no list gives way. The oldest go where there are too many. */
function withDocument(tag: string | undefined, document: unknown): string {
  const documents = [...parseList(tag ?? '[]'), document].map((one) => JSON.stringify(one))
  let length = documents.reduce((sum, text) => sum + text.length, 0)
  while (documents.length > 1 && length > HISTORY_CHARS_MAX) length -= documents.shift()!.length
  return `[${documents.join(',')}]`
}

function parseList(text: string): unknown[] {
  try {
    const value: unknown = JSON.parse(text)
    return Array.isArray(value) ? value : []
  } catch {
    return []
  }
}
