import type { ModelDefinition, PassportNotes } from '@plimsoll/sdk/wire'
import type { Context, Tx } from '../kernel/db/index.ts'
import { type Digest, digestValue } from '../kernel/digest.ts'
import './tables.ts'

/** What the notes became, by whom and when. */
export interface NotesRevision {
  readonly revision: number
  readonly digest: Digest
  readonly by: string
  readonly at: Date
}

interface Said {
  readonly description: string
  readonly definition: ModelDefinition | null
  readonly definition_digest: string | null
}

const NOTHING: Said = { description: '', definition: null, definition_digest: null }

/** The notes as a model's row says them. */
export function toNotes({ description, definition }: Pick<Said, 'description' | 'definition'>): PassportNotes {
  const intent = definition?.intent
  return {
    description,
    owner: definition?.owner ?? null,
    intendedUse: intent?.intendedUse ?? null,
    outOfScope: intent?.outOfScope ?? null,
    limitations: intent?.limitations ?? null,
    licence: intent?.licence ?? null,
    riskClass: intent?.riskClass ?? null,
  }
}

/** Notes of a model of which nothing was ever said. */
export const NO_NOTES = toNotes(NOTHING)

async function readSaid(ctx: Context, model: string): Promise<Said> {
  const row = await ctx.db
    .selectFrom('registered_model')
    .select(['description', 'definition', 'definition_digest'])
    .where('project', '=', ctx.project)
    .where('name', '=', model)
    .where('deleted_at', 'is', null)
    .executeTakeFirst()
  return row ?? NOTHING
}

/** The notes of a model's passports: its description, and what its definition says. */
export async function notesOf(ctx: Context, model: string): Promise<PassportNotes> {
  return toNotes(await readSaid(ctx, model))
}

function newest(ctx: Context, model: string) {
  return ctx.db
    .selectFrom('model_notes')
    .select(['revision', 'digest', 'changed_by', 'changed_at'])
    .where('project', '=', ctx.project)
    .where('model', '=', model)
    .orderBy('revision', 'desc')
    .limit(1)
    .executeTakeFirst()
}

/**
 * Keeps what the notes are now, in the name of who calls, unless they were so before. Call it in the transaction that has
 * changed the model's row, which makes writers take turns. The audit has the digest of each revision; of what a definition
 * says, the audit row of its declaration has the digest that is kept beside the notes.
 */
export async function recordNotes(tx: Tx, model: string): Promise<void> {
  const said = await readSaid(tx, model)
  const notes = toNotes(said)
  const digest = digestValue(notes)
  const last = await newest(tx, model)
  if (digest === (last?.digest ?? digestValue(NO_NOTES))) return
  const revision = (last?.revision ?? 0) + 1
  const { changed_at } = await tx.db
    .insertInto('model_notes')
    .values({
      project: tx.project,
      model,
      revision,
      notes: JSON.stringify(notes),
      digest,
      definition_digest: said.definition_digest,
      changed_by: tx.principal.id,
    })
    .returning('changed_at')
    .executeTakeFirstOrThrow()
  await tx.audit({
    action: 'model.notes',
    subject: model,
    data: { revision, digest, at: changed_at.toISOString() },
  })
}

/** Since when the notes are what they are; null where nothing was ever said, or before notes were kept. */
export async function findNotesRevision(
  ctx: Context,
  model: string,
  notes: PassportNotes,
): Promise<NotesRevision | null> {
  const last = await newest(ctx, model)
  const digest = digestValue(notes)
  if (last?.digest !== digest) return null
  return { revision: last.revision, digest, by: last.changed_by, at: last.changed_at }
}
