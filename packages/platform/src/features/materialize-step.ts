import { join } from 'node:path'
import type { OnlineStore } from '@plimsoll/sdk/seams'
import { definitionName, entityDefinition, featureViewDefinition } from '@plimsoll/sdk/wire'
import { z } from 'zod'
import { requireVersion } from '../datasets/index.ts'
import type { Json } from '../kernel/canonical.ts'
import type { Context, Tx } from '../kernel/db/index.ts'
import { PlimsollError } from '../kernel/errors.ts'
import type { StepCommand, StepKind, StepOutput, StepResult } from '../kernel/step-kind.ts'
import { requireEntity, requireFeatureService, requireFeatureView } from './declare.ts'
import { materializeView } from './materialize-batch.ts'
import { inputName, outputPath, parseParams, readDatasetInput, requireDatasetInput, writeJson } from './step-files.ts'

const DAY_US = 86_400_000_000

const materializeParams = z
  .strictObject({
    /** One view, or every online view of a service. */
    view: definitionName.optional(),
    service: definitionName.optional(),
    /** What was known up to this instant is written, and nothing later. */
    until: z.iso.datetime({ offset: true }),
    /** How long before `until` lookups must still find whole windows, microseconds. */
    slackUs: z
      .int()
      .nonnegative()
      .max(400 * DAY_US)
      .default(DAY_US),
  })
  .refine(({ view, service }) => (view === undefined) !== (service === undefined), {
    error: 'needs either a view or a service',
  })

const materializeSpec = z.strictObject({
  untilUs: z.string(),
  slackUs: z.int(),
  views: z.array(
    z.strictObject({
      view: featureViewDefinition,
      viewVersion: z.string(),
      generation: z.int().positive(),
      entity: entityDefinition,
      input: z.string(),
      source: z.string(),
      sourceVersion: z.int(),
    }),
  ),
})

const materializeReport = z.strictObject({
  views: z.array(z.strictObject({ view: z.string(), applied: z.int(), stale: z.int(), fence: z.int() })),
})

/** What the launcher of a `materialize` step gives beside the usual: the online store of this installation. */
export interface MaterializeCommand extends StepCommand {
  readonly onlineStore: () => Promise<OnlineStore>
}

async function resolveStep(
  ctx: Context,
  { params, inputs }: { params: Json; inputs: Readonly<Record<string, StepOutput>> },
): Promise<Json> {
  const wanted = parseParams(materializeParams, 'materialize', params)
  const names =
    wanted.view === undefined
      ? (await requireFeatureService(ctx, wanted.service!)).members.map(({ view }) => view.name)
      : [wanted.view]
  const views = []
  for (const name of new Set(names)) {
    const { definition: view, digest, generation } = await requireFeatureView(ctx, name)
    if (!view.online) continue
    const entity = await requireEntity(ctx, view.entity)
    const input = inputName(view.source)
    const source = requireDatasetInput(inputs, input, `the source "${view.source}" of view "${name}"`)
    const version = await requireVersion(ctx, { digest: source.digest }, { allowFailed: true })
    const key = { kind: 'entity' as const, name: entity.name, keys: entity.keys }
    views.push({
      view,
      viewVersion: digest,
      generation,
      entity: key,
      input,
      source: source.digest,
      sourceVersion: version.version,
    })
  }
  const untilUs = String(BigInt(Date.parse(wanted.until)) * 1_000n)
  return JSON.parse(JSON.stringify({ untilUs, slackUs: wanted.slackUs, views })) as Json // plain data
}

async function runCommand(command: StepCommand): Promise<void> {
  const spec = materializeSpec.parse(command.spec)
  const { onlineStore } = command as Partial<MaterializeCommand> // the launcher adds it
  if (!onlineStore)
    throw new PlimsollError(
      'unavailable',
      'features.no_online_store',
      'Cannot materialize: no online store was given to the step',
    )
  const engine = await command.engine()
  const store = await onlineStore()
  try {
    const views = []
    for (const [index, { view, entity, generation, input, sourceVersion }] of spec.views.entries()) {
      const { relation } = await readDatasetInput(command, input)
      const progress = (_: number, message: string) =>
        command.progress((index + 0.5) / spec.views.length, `${view.name}: ${message}`)
      const done = await materializeView({
        engine,
        store,
        view,
        entity,
        generation,
        source: relation,
        untilUs: BigInt(spec.untilUs),
        sourceVersion,
        slackUs: spec.slackUs,
        workDir: join(command.workDir, `materialize-${index}`),
        signal: command.signal,
        progress,
      })
      views.push({ view: view.name, ...done })
    }
    await writeJson(outputPath(command, 'report'), { views })
  } finally {
    await store.close()
  }
}

async function commitStep(tx: Tx, result: StepResult): Promise<Json> {
  const spec = materializeSpec.parse(result.spec)
  const { views } = materializeReport.parse(result.json.report)
  for (const [index, { view, viewVersion, generation, source }] of spec.views.entries()) {
    const { applied, stale, fence } = views[index]!
    const row = {
      project: tx.project,
      view: view.name,
      view_version: viewVersion,
      generation,
      source,
      until_us: BigInt(spec.untilUs),
      fence,
      state: 'committed' as const,
      rows_applied: BigInt(applied),
      rows_stale: BigInt(stale),
      run: result.run,
      step: result.step,
    }
    await tx.db
      .insertInto('materialization')
      .values(row)
      .onConflict((conflict) => conflict.doNothing())
      .execute()
    await tx.emit({
      type: 'features.view_materialized',
      subject: view.name,
      data: { viewVersion, generation, source, untilUs: spec.untilUs, applied, stale },
    })
  }
  return { untilUs: spec.untilUs, views: views.map(({ view, applied, stale }) => ({ view, applied, stale })) }
}

/** Writes what was known of views at an instant into the online store. Not cached: the store may be a new one. */
export const materializeStep: StepKind = {
  kind: 'materialize',
  outputs: { report: 'json' },
  cacheable: false,
  resolve: resolveStep,
  command: runCommand,
  commit: commitStep,
}
