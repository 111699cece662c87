import { findVersion, sourcePathsOf } from '../datasets/index.ts'
import type { Context } from '../kernel/db/index.ts'
import type { ClaimedStep } from './store.ts'
import type { NamedOutputs } from './tables.ts'

/** Paths at which the steps of this run that read datasets found their files, or the step that registered what is read. */
export async function ownPlaces(
  ctx: Context,
  step: Pick<ClaimedStep, 'run' | 'definition'>,
  inputs: NamedOutputs,
): Promise<ReadonlySet<string>> {
  const read = Object.entries(inputs).filter(([, { type }]) => type === 'dataset')
  const makers: { run: string; key: string }[] = []
  for (const [name, { digest }] of read) {
    const from = step.definition.inputs[name]
    if (from?.from !== 'dataset') continue
    const version = await findVersion(ctx, { dataset: from.dataset, digest })
    if (version?.run && version.step) makers.push({ run: version.run, key: version.step })
  }
  if (read.length === 0) return new Set()
  const rows = await ctx.db
    .selectFrom('step')
    .select('spec')
    .where('kind', '=', 'dataset-version')
    .where((eb) =>
      eb.or([
        eb('run', '=', step.run),
        ...makers.map(({ run, key }) => eb.and([eb('run', '=', run), eb('key', '=', key)])),
      ]),
    )
    .execute()
  return new Set(rows.flatMap(({ spec }) => sourcePathsOf(spec)))
}
