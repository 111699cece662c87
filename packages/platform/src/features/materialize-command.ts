import { join } from 'node:path'
import type { OnlineStore } from '@plimsoll/sdk/seams'
import { entityDefinition, featureViewDefinition } from '@plimsoll/sdk/wire'
import { z } from 'zod'
import { countText } from '../kernel/count-text.ts'
import { PlimsollError, toPlimsollError } from '../kernel/errors.ts'
import type { StepCommand } from '../kernel/step-kind.ts'
import { type Materialized, materializeView } from './materialize-batch.ts'
import { outputPath, readDatasetInput, writeJson } from './step-files.ts'

export const materializeSpec = z.strictObject({
  untilUs: z.string(),
  slackUs: z.int(),
  /** When look-ups are exact from, and what the clock of the server showed, where that was earlier. */
  ahead: z.strictObject({ exactFrom: z.string(), clock: z.string() }).optional(),
  views: z.array(
    z.strictObject({
      view: featureViewDefinition,
      viewVersion: z.string(),
      generation: z.int().positive(),
      entity: entityDefinition,
      input: z.string(),
      source: z.string(),
      sourceVersion: z.int(),
      /** A meaning that the view no longer has, and by which something still serves. */
      isOlder: z.boolean().default(false),
    }),
  ),
})

/** What the launcher of a `materialize` step gives beside the usual: the online store of this installation. */
export interface MaterializeCommand extends StepCommand {
  readonly onlineStore: () => Promise<OnlineStore>
}

/** The heavy part of `materialize`. */
export async function runMaterializeCommand(command: StepCommand): Promise<void> {
  const spec = materializeSpec.parse(command.spec)
  const { onlineStore } = command as Partial<MaterializeCommand> // the launcher adds it
  if (!onlineStore)
    throw new PlimsollError(
      'unavailable',
      'features.no_online_store',
      'Cannot materialize: no online store was given to the step',
    )
  if (spec.ahead)
    command.log.warn(
      spec.ahead,
      `look-ups before ${spec.ahead.exactFrom} (until − slack) are INVALID where something has changed since, and the clock of the server shows ${spec.ahead.clock}: give an earlier until, or more slack`,
    )
  const engine = await command.engine()
  const store = await onlineStore()
  try {
    const views = []
    for (const [index, { view, entity, generation, input, sourceVersion, isOlder }] of spec.views.entries()) {
      const { relation } = await readDatasetInput(command, input)
      const progress = (_: number, message: string) =>
        command.progress((index + 0.5) / spec.views.length, `${view.name}: ${message}`)
      const filling = materializeView({
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
      const done = isOlder ? await unlessDataHasChanged(command, view.name, filling) : await filling
      if (done) views.push({ view: view.name, generation, ...done })
    }
    await writeJson(outputPath(command, 'report'), { views })
    command.progress(1, viewsText(views))
  } finally {
    await store.close()
  }
}

/** What was done in all, where the last progress told of a part. */
function viewsText(
  views: readonly { readonly view: string; readonly applied: number; readonly stale: number }[],
): string {
  return views
    .map(({ view, applied, stale }) => `${view}: ${countText(applied, 'value')} written, ${stale} were there`)
    .join('; ')
}

/** The source may have lost what an older meaning needs: that is no reason to leave the present one unfilled. */
async function unlessDataHasChanged(command: StepCommand, view: string, filling: Promise<Materialized>) {
  try {
    return await filling
  } catch (thrown) {
    command.signal.throwIfAborted()
    const problem = toPlimsollError(thrown)
    if (problem.code !== 'query.failed') throw thrown
    command.log.warn({ view, problem: problem.message }, 'the older meaning of a view that serves cannot be filled')
    return undefined
  }
}
