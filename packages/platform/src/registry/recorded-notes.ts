import type { LedgerFault } from '@plimsoll/sdk/wire'
import type { Context } from '../kernel/db/index.ts'
import { type Digest, digestValue } from '../kernel/digest.ts'
import { lastingFault, readAudit, unauditedRow } from '../kernel/ledger/index.ts'
import { NO_NOTES, toNotes } from './model-notes.ts'
import './tables.ts'

/** Notes may be long. */
const PAGE = 100

interface Revision {
  readonly said: Digest
  readonly fault: LedgerFault | undefined
  readonly row: { readonly id: string; readonly subject: string; readonly at: Date }
}

interface Kept {
  /** By model and number. */
  readonly revisions: Map<string, Revision>
  /** Digest of the newest, by model. */
  readonly newest: Map<string, string>
}

const modelKey = (project: string, model: string) => `${project}\0${model}`
const saidOf = (actor: string, digest: string) => digestValue({ actor, digest })

async function readKept(ctx: Context): Promise<Kept> {
  const query = ctx.db
    .selectFrom('model_notes')
    .selectAll()
    .orderBy('project')
    .orderBy('model')
    .orderBy('revision')
    .limit(PAGE)
  const kept: Kept = { revisions: new Map(), newest: new Map() }
  for (let rows = await query.execute(); rows.length > 0; ) {
    for (const { project, model, revision, notes, digest, changed_by, changed_at } of rows) {
      const key = modelKey(project, model)
      const row = { id: `${model}#${revision}`, subject: model, at: changed_at }
      const isWhole = digestValue(notes) === digest
      const fault = isWhole ? undefined : unauditedRow('model-notes', row, 'The notes are not those of their digest')
      kept.revisions.set(`${key}#${revision}`, { said: saidOf(changed_by, digest), fault, row })
      kept.newest.set(key, digest)
    }
    const last = rows.at(-1)! // it has rows
    rows = await query
      .where(({ eb, refTuple, tuple }) =>
        eb(refTuple('project', 'model', 'revision'), '>', tuple(last.project, last.model, last.revision)),
      )
      .execute()
  }
  return kept
}

/** What the audit says the notes became, by model and number, under the names that the models have now. */
async function readTold(ctx: Context): Promise<Map<string, Digest>> {
  const told = new Map<string, Map<number, Digest>>()
  for await (const { action, project, subject, actor, data } of readAudit(ctx, ['model.notes', 'model.rename'])) {
    const key = modelKey(project, subject)
    if (action === 'model.rename') {
      const from = modelKey(project, (data as { from: string }).from)
      const moved = told.get(from)
      if (moved) told.set(key, moved)
      told.delete(from)
    } else {
      const { revision, digest } = data as { revision: number; digest: string }
      told.set(key, (told.get(key) ?? new Map<number, Digest>()).set(revision, saidOf(actor, digest)))
    }
  }
  return new Map(
    [...told].flatMap(([model, revisions]) =>
      [...revisions].map(([revision, said]): [string, Digest] => [`${model}#${revision}`, said]),
    ),
  )
}

/** A model that says now what its newest notes do not. */
async function findUnsaid(ctx: Context, { newest }: Kept): Promise<LedgerFault | undefined> {
  const models = await ctx.db
    .selectFrom('registered_model')
    .select(['project', 'name', 'description', 'definition', 'updated_at'])
    .where('deleted_at', 'is', null)
    .orderBy('name')
    .execute()
  const unsaid = models.find(
    (model) =>
      digestValue(toNotes(model)) !== (newest.get(modelKey(model.project, model.name)) ?? digestValue(NO_NOTES)),
  )
  if (!unsaid) return undefined
  const row = { id: unsaid.name, subject: unsaid.name, at: unsaid.updated_at }
  return unauditedRow('model', row, 'What it says of itself is not what its newest notes say')
}

/** The notes first, the audit after them: what is written in between is in the audit. */
async function look(ctx: Context): Promise<LedgerFault | undefined> {
  const kept = await readKept(ctx)
  const unsaid = await findUnsaid(ctx, kept)
  const told = await readTold(ctx)
  for (const [key, { said, fault, row }] of kept.revisions) {
    if (fault) return fault
    if (told.get(key) !== said)
      return unauditedRow('model-notes', row, 'The audit has no row that says what the notes became')
  }
  const gone = [...told.keys()].find((key) => !kept.revisions.has(key))
  if (gone === undefined) return unsaid
  const [, model, revision] = /^[^\0]*\0(.*)#(\d+)$/s.exec(gone) ?? []
  return { position: null, where: 'audit', reason: `Revision ${revision} of the notes of model "${model}" is gone` }
}

/** The first notes of any project, or what a model says now, of which the audit tells otherwise, or nothing. */
export const findUnrecordedNotes = (ctx: Context): Promise<LedgerFault | undefined> => lastingFault(ctx, look)
