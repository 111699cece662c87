import type { Context, Tx } from '../kernel/db/index.ts'
import { PlimsollError } from '../kernel/errors.ts'
import { checkKey, isLonger, isReservedTag } from '../tracking/index.ts'
import { requireModel } from './model.ts'
import { requireModelVersion } from './version.ts'

/** @source MLflow: MAX_MODEL_REGISTRY_TAG_VALUE_LENGTH of mlflow/utils/validation.py */
const VALUE_MAX = 100_000

/** `version` 0 is the model itself. */
interface Tagged {
  readonly model: string
  readonly version: number
}

function checkTag(key: string, value: string): void {
  if (isReservedTag({ key })) {
    throw new PlimsollError(
      'forbidden',
      'registry.tag_reserved',
      `Cannot set tag '${key.slice(0, 100)}': tags that begin with "plimsoll." are shown by the platform`,
    )
  }
  checkKey(key, 'key')
  if (isLonger(value, VALUE_MAX))
    throw new PlimsollError(
      'invalid',
      'registry.tag_too_long',
      `'value' exceeds the maximum length of ${VALUE_MAX} characters`,
    )
}

async function requireTagged(tx: Tx, { model, version }: Tagged): Promise<void> {
  if (version === 0) await requireModel(tx, model)
  else await requireModelVersion(tx, { model, version })
}

export async function setTags(
  ctx: Context,
  of: Tagged,
  tags: readonly { key: string; value: string }[],
): Promise<void> {
  const last = new Map(tags.map((tag) => [tag.key, tag.value]))
  if (last.size === 0) return
  for (const [key, value] of last) checkTag(key, value)
  await ctx.transaction(async (tx) => {
    await requireTagged(tx, of)
    await tx.db
      .insertInto('model_tag')
      .values([...last].map(([key, value]) => ({ project: tx.project, ...of, key, value })))
      .onConflict((conflict) =>
        conflict
          .columns(['project', 'model', 'version', 'key'])
          .doUpdateSet((eb) => ({ value: eb.ref('excluded.value') })),
      )
      .execute()
    await tx.audit({
      action: of.version === 0 ? 'model.tag' : 'version.tag',
      subject: subjectOf(of),
      data: Object.fromEntries(last),
    })
  })
}

function subjectOf({ model, version }: Tagged): string {
  return version === 0 ? model : `${model}/${version}`
}

/** Free when there is no such tag. */
export async function deleteTag(ctx: Context, of: Tagged, key: string): Promise<void> {
  await ctx.transaction(async (tx) => {
    await requireTagged(tx, of)
    const gone = await tx.db
      .deleteFrom('model_tag')
      .where('project', '=', tx.project)
      .where('model', '=', of.model)
      .where('version', '=', of.version)
      .where('key', '=', key)
      .executeTakeFirst()
    if (gone.numDeletedRows > 0n)
      await tx.audit({
        action: of.version === 0 ? 'model.untag' : 'version.untag',
        subject: subjectOf(of),
        data: { key },
      })
  })
}
