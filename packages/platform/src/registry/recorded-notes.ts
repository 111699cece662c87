import type { LedgerFault } from '@plimsoll/sdk/wire'
import type { Context } from '../kernel/db/index.ts'
import { digestValue } from '../kernel/digest.ts'
import { movedSince, readAudit, seenNow, unauditedRow } from '../kernel/ledger/index.ts'
import { NO_NOTES, toNotes } from './model-notes.ts'
import { keyOf, subjectOf } from './recorded-registry.ts'
import './tables.ts'

/** Notes may be long. */
const PAGE = 100

/** Who made the notes what, and when; rows of the audit that stand for notes of before it told of them do not say when. */
interface Said {
  readonly actor: string
  readonly digest: string
  readonly at?: string
}

interface Revision {
  readonly said: Said
  readonly fault: LedgerFault | undefined
  readonly row: { readonly id: string; readonly subject: string; readonly at: Date }
}

interface Kept {
  /** By model and number. */
  readonly revisions: Map<string, Revision>
  /** Digest of the newest, by model. */
  readonly newest: Map<string, string>
}

function isTold(told: Said | undefined, { actor, digest, at }: Said): boolean {
  return told !== undefined && told.actor === actor && told.digest === digest && (told.at ?? at) === at
}

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
      const key = keyOf(project, model)
      const row = { id: `${model}#${revision}`, subject: model, at: changed_at }
      const isWhole = digestValue(notes) === digest
      const fault = isWhole ? undefined : unauditedRow('model-notes', row, 'The notes are not those of their digest')
      const said = { actor: changed_by, digest, at: changed_at.toISOString() }
      kept.revisions.set(`${key}#${revision}`, { said, fault, row })
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

/** What the audit says, under the names that the models have now. */
interface Told {
  /** What the notes became, by model and number. */
  readonly notes: Map<string, Said>
  /** The digest of its definition, by model: null without one, undefined where it is deleted. */
  readonly definitions: Map<string, string | null | undefined>
}

const ACTIONS = ['model.notes', 'model.rename', 'model.create', 'model.declare', 'model.undeclare', 'model.delete']

async function readTold(ctx: Context): Promise<Told> {
  const told = new Map<string, Map<number, Said>>()
  const definitions: Told['definitions'] = new Map()
  for await (const { action, project, subject, actor, data } of readAudit(ctx, ACTIONS)) {
    const key = keyOf(project, subject)
    if (action === 'model.rename') {
      const from = keyOf(project, (data as { from: string }).from)
      const moved = told.get(from)
      if (moved) told.set(key, moved)
      told.delete(from)
      definitions.set(key, definitions.get(from))
      definitions.delete(from)
    } else if (action === 'model.notes') {
      const { revision, ...said } = data as { revision: number; digest: string; at?: string }
      told.set(key, (told.get(key) ?? new Map<number, Said>()).set(revision, { actor, ...said }))
    } else if (action === 'model.declare') definitions.set(key, (data as { digest: string }).digest)
    else definitions.set(key, action === 'model.delete' ? undefined : null)
  }
  const notes = [...told].flatMap(([model, revisions]) =>
    [...revisions].map(([revision, said]): [string, Said] => [`${model}#${revision}`, said]),
  )
  return { notes: new Map(notes), definitions }
}

async function readModels(ctx: Context) {
  const rows = await ctx.db
    .selectFrom('registered_model')
    .select(['project', 'name', 'description', 'definition', 'definition_digest', 'deleted_at', 'updated_at'])
    .orderBy('name')
    .execute()
  return rows.map((row) => ({
    key: keyOf(row.project, row.name),
    isDeleted: row.deleted_at !== null,
    digest: row.definition_digest,
    isWhole: (row.definition === null ? null : digestValue(row.definition)) === row.definition_digest,
    notes: digestValue(toNotes(row)),
    row: { id: row.name, subject: row.name, at: row.updated_at },
  }))
}

interface Unsaid {
  /** The model that it is about. */
  readonly model: string
  readonly fault: LedgerFault
}

const goneFault = (reason: string): LedgerFault => ({ position: null, where: 'audit', reason })

/** Revisions of which the audit tells otherwise, or nothing. */
function* findUnsaidNotes({ revisions }: Kept, { notes }: Told): Generator<Unsaid> {
  const modelOf = (key: string) => key.slice(0, key.lastIndexOf('#'))
  for (const [key, { said, fault, row }] of revisions) {
    const unsaid = unauditedRow('model-notes', row, 'The audit has no row that says what the notes became')
    if (fault || !isTold(notes.get(key), said)) yield { model: modelOf(key), fault: fault ?? unsaid }
  }
  for (const key of notes.keys()) {
    if (revisions.has(key)) continue
    const [, model, revision] = /^(.*)#(\d+)$/s.exec(subjectOf(key)) ?? []
    yield { model: modelOf(key), fault: goneFault(`Revision ${revision} of the notes of model "${model}" is gone`) }
  }
}

/** Models that say now what their newest notes, or the audit of their definition, do not; how many must approve is of these. */
function* findUnsaidModels(
  models: Awaited<ReturnType<typeof readModels>>,
  { newest }: Kept,
  { definitions }: Told,
): Generator<Unsaid> {
  for (const { key, isDeleted, digest, isWhole, notes, row } of models) {
    const reason = !isWhole
      ? 'Its definition is not the one of its digest'
      : definitions.get(key) !== (isDeleted ? undefined : digest)
        ? 'The audit does not say that it has this definition'
        : !isDeleted && notes !== (newest.get(key) ?? digestValue(NO_NOTES))
          ? 'What it says of itself is not what its newest notes say'
          : undefined
    if (reason !== undefined) yield { model: key, fault: unauditedRow('model', row, reason) }
  }
  const kept = new Set(models.map(({ key }) => key))
  for (const [key, digest] of definitions)
    if (digest !== undefined && !kept.has(key))
      yield { model: key, fault: goneFault(`Model "${subjectOf(key)}" is gone`) }
}

/**
 * The first notes of any project, or what a model says now, of which the audit tells otherwise, or nothing. A model that is
 * worked on meanwhile is looked at the next time.
 */
export async function findUnrecordedNotes(ctx: Context): Promise<LedgerFault | undefined> {
  const before = await seenNow(ctx)
  const kept = await readKept(ctx)
  const models = await readModels(ctx)
  const told = await readTold(ctx)
  const unsaid = [...findUnsaidNotes(kept, told), ...findUnsaidModels(models, kept, told)]
  if (unsaid.length === 0) return undefined
  const moving = new Set(
    (await movedSince(ctx, before, ACTIONS)).flatMap(({ project, subject, from }) =>
      [subject, from].flatMap((name) => (name === null ? [] : [keyOf(project, name)])),
    ),
  )
  return unsaid.find(({ model }) => !moving.has(model))?.fault
}
