import type { BlobStore } from '@plimsoll/sdk/seams'
import {
  type Definition,
  type DefinitionChange,
  listedNames,
  type PlanView,
  type ProjectContent,
} from '@plimsoll/sdk/wire'
import { sql } from 'kysely'
import { declareDataset, undeclareDataset } from '../datasets/index.ts'
import { declareRoute, listEnvironments, listRoutes, removeRoute } from '../delivery/index.ts'
import {
  declareEntity,
  declareFeatureService,
  declareFeatureView,
  removeFeatureDefinition,
  viewWarnings,
} from '../features/index.ts'
import { missingBlobs } from '../kernel/blob/index.ts'
import type { Json } from '../kernel/canonical.ts'
import { countText } from '../kernel/count-text.ts'
import type { Context, Tx } from '../kernel/db/index.ts'
import { digestValue } from '../kernel/digest.ts'
import { type Fault, PlimsollError, refuseFaults } from '../kernel/errors.ts'
import { member } from '../kernel/own-member.ts'
import {
  declarePipeline,
  findPipelineDigest,
  removePipeline,
  requirePipelineVersion,
  type StepKinds,
} from '../pipelines/index.ts'
import { declareModel, undeclareModel } from '../registry/index.ts'
import { datasetsRead, refuseUnknownDatasets } from './dataset-references.ts'
import { diffCode, diffJson } from './definition-diff.ts'
import './events.ts'
import './tables.ts'

export interface PlanDeps {
  readonly blobs: BlobStore
  readonly kinds: StepKinds
}

/** Order in which kinds are declared; deletion goes the other way. */
const ORDER: readonly Definition['kind'][] = [
  'dataset',
  'entity',
  'feature-view',
  'feature-service',
  'model',
  'route',
  'pipeline',
]

type State = Awaited<ReturnType<typeof readState>>

async function readState(ctx: Context) {
  return ctx.db
    .selectFrom('declared')
    .select(['kind', 'name', 'source', 'digest', 'definition'])
    .where('project', '=', ctx.project)
    .orderBy('kind')
    .orderBy('name')
    .limit(20_000)
    .execute()
}

function keyOf(of: { kind: string; name: string }): string {
  return `${of.kind}/${of.name}`
}

/** Name under which a definition is kept: that of a route says its environment, unless that is production. */
function declaredName(definition: Definition): string {
  const { kind, name } = definition
  return kind === 'route' && definition.environment !== 'production' ? `${definition.environment}/${name}` : name
}

function definitionKey(definition: Definition): string {
  return keyOf({ kind: definition.kind, name: declaredName(definition) })
}

function digestOf(definition: Definition, content: ProjectContent): string {
  return digestValue(
    definition.kind === 'pipeline'
      ? { definition, bundles: member(content.bundles, definition.name) ?? {} }
      : { definition },
  )
}

function contentFaults(content: ProjectContent): Fault[] {
  const seen = new Set<string>()
  return content.definitions.flatMap((definition, index) => {
    const key = definitionKey(definition)
    if (seen.has(key))
      return [{ pointer: `/definitions/${index}`, detail: `${definition.kind} ${definition.name} is declared twice` }]
    seen.add(key)
    return []
  })
}

function changeOf(
  definition: Definition,
  content: ProjectContent,
  before: State[number] | undefined,
): DefinitionChange {
  const { kind } = definition
  const name = declaredName(definition)
  if (!before) return { kind, name, change: 'create', diff: [] }
  if (before.digest === digestOf(definition, content)) return { kind, name, change: 'unchanged', diff: [] }
  const diff = diffJson(before.definition as unknown as Json, definition as unknown as Json) // both are JSON
  return { kind, name, change: 'change', diff }
}

/** Adds to the changes of pipelines which files of their code differ from the code that is declared now. */
async function withCode(ctx: Context, content: ProjectContent, change: DefinitionChange): Promise<DefinitionChange> {
  if (change.kind !== 'pipeline' || change.change !== 'change') return change
  const digest = await findPipelineDigest(ctx, change.name)
  const before = digest === undefined ? {} : (await requirePipelineVersion(ctx, digest)).bundles
  return { ...change, diff: diffCode(before, member(content.bundles, change.name) ?? {}, change.diff) }
}

function ownershipFaults(content: ProjectContent, state: State): Fault[] {
  const foreign = new Map(state.filter((row) => row.source !== content.source).map((row) => [keyOf(row), row.source]))
  return content.definitions.flatMap((definition, index) => {
    const source = foreign.get(definitionKey(definition))
    return source === undefined
      ? []
      : [
          {
            pointer: `/definitions/${index}`,
            detail: `${definition.kind} ${definition.name} belongs to source ${source}`,
          },
        ]
  })
}

function codeFiles(content: ProjectContent): `sha256:${string}`[] {
  const bundles = Object.values(content.bundles).flatMap((steps) => Object.values(steps))
  return bundles.flatMap((bundle) => bundle.files.map((file) => file.digest as `sha256:${string}`)) // checked by the wire schema
}

/** Approvals for an environment of no route hold nothing up: it may be misspelt. */
async function approvalWarnings(ctx: Context, { definitions }: ProjectContent): Promise<string[]> {
  const declared = definitions.flatMap((one) => (one.kind === 'route' ? [one.environment] : []))
  const warnings: string[] = []
  for (const one of definitions)
    for (const environment of one.kind === 'model' ? Object.keys(one.approvals) : []) {
      if (environment === 'production' || declared.includes(environment)) continue
      const served = await listEnvironments(ctx, environment)
      if (served.includes(environment)) continue
      const names = [...new Set([...declared, ...served])].sort()
      const others = names.length > 0 ? `routes are in ${listedNames(names)}` : 'there is no route yet'
      warnings.push(
        `model "${one.name}" asks for approvals in "${environment}", where no route serves: nothing waits for them (${others})`,
      )
    }
  return warnings
}

/** Compares what a project declares with what the server has. Changes nothing. @throws invalid definitions.invalid · conflict definitions.foreign */
export async function planProject(
  ctx: Context,
  deps: PlanDeps,
  content: ProjectContent,
  prune: boolean,
): Promise<PlanView> {
  refuseFaults('definitions.invalid', `Cannot plan project "${content.source}"`, contentFaults(content))
  const state = await readState(ctx)
  const foreign = ownershipFaults(content, state)
  if (foreign.length > 0)
    throw new PlimsollError(
      'conflict',
      'definitions.foreign',
      `Cannot plan project "${content.source}": others own some of its definitions`,
      {
        faults: foreign,
        action:
          'If the folder only changed its name, give defineProject its old one back; else rename these definitions, or put the folder into a project of the server of its own with --project',
      },
    )
  const before = new Map(state.map((row) => [keyOf(row), row]))
  const declared = new Set(content.definitions.map(definitionKey))
  const changes: DefinitionChange[] = []
  for (const definition of content.definitions)
    changes.push(await withCode(ctx, content, changeOf(definition, content, before.get(definitionKey(definition)))))
  for (const row of state) {
    if (row.source !== content.source || declared.has(keyOf(row))) continue
    changes.push({ kind: row.kind as Definition['kind'], name: row.name, change: prune ? 'delete' : 'kept', diff: [] }) // stored by apply
  }
  const base = digestValue(state.map((row) => [row.kind, row.name, row.source, row.digest]))
  const warnings = content.definitions.flatMap((definition) =>
    definition.kind === 'feature-view' ? viewWarnings(definition) : [],
  )
  warnings.push(...(await approvalWarnings(ctx, content)))
  if (content.origin.commit === null)
    warnings.push(
      'git knows no commit of the folder: versions made from it cannot be released until it is committed and applied again',
    )
  else if (content.origin.isDirty)
    warnings.push('the tree has changes that are not committed: versions made from it cannot be released')
  return {
    digest: digestValue({ project: ctx.project, base, prune, content }),
    base,
    changes,
    warnings,
    missingBlobs: await missingBlobs(ctx, deps.blobs, codeFiles(content)),
  }
}

/** What declaring takes; without blobs it is only tried out. */
type DeclareDeps = Pick<PlanDeps, 'kinds'> & { readonly blobs: BlobStore | undefined }

async function declare(tx: Tx, deps: DeclareDeps, definition: Definition, content: ProjectContent): Promise<void> {
  switch (definition.kind) {
    case 'dataset':
      await declareDataset(tx, definition)
      return
    case 'entity':
      await declareEntity(tx, definition)
      return
    case 'feature-view':
      await declareFeatureView(tx, definition)
      return
    case 'feature-service':
      await declareFeatureService(tx, definition)
      return
    case 'model':
      return declareModel(tx, definition)
    case 'route':
      await declareRoute(tx, definition)
      return
    case 'pipeline':
      await declarePipeline(tx, definition, {
        bundles: member(content.bundles, definition.name) ?? {},
        origin: { source: content.source, ...content.origin },
        kinds: deps.kinds,
        blobs: deps.blobs,
      })
      return
  }
}

/** Routes are declared after features, so that features cannot know who looks them up. */
async function refuseUsedService(tx: Tx, kind: string, name: string): Promise<void> {
  const routes = kind === 'feature-service' ? await listRoutes(tx) : []
  const using = routes.filter((route) => route.definition.features === name).map((route) => `"${route.name}"`)
  if (using.length > 0)
    throw new PlimsollError(
      'precondition',
      'features.in_use',
      `Cannot delete feature service "${name}": route ${using.join(', ')} uses it`,
    )
}

/** Pipelines and feature views by the names of the datasets that they read. */
function readersOf(state: State): ReadonlyMap<string, readonly string[]> {
  const readers = new Map<string, string[]>()
  for (const { definition } of state) {
    const read =
      definition.kind === 'pipeline'
        ? datasetsRead(definition)
        : definition.kind === 'feature-view'
          ? [definition.source]
          : []
    for (const name of new Set(read)) {
      const of = readers.get(name) ?? []
      readers.set(name, [...of, `${definition.kind.replace('-', ' ')} "${declaredName(definition)}"`])
    }
  }
  return readers
}

function refuseUsedDataset(name: string, readers: ReadonlyMap<string, readonly string[]>): void {
  const using = readers.get(name) ?? []
  if (using.length > 0)
    throw new PlimsollError(
      'precondition',
      'datasets.in_use',
      `Cannot delete dataset "${name}": ${listedNames(using)} ${using.length === 1 ? 'reads' : 'read'} it`,
    )
}

async function remove(tx: Tx, row: State[number]): Promise<void> {
  const { kind } = row.definition
  if (kind === 'entity' || kind === 'feature-view' || kind === 'feature-service') {
    await refuseUsedService(tx, kind, row.name)
    await removeFeatureDefinition(tx, kind, row.name)
  } else if (row.kind === 'dataset') await undeclareDataset(tx, row.name)
  else if (row.kind === 'model') await undeclareModel(tx, row.name)
  else if (row.kind === 'pipeline') await removePipeline(tx, row.name)
  else if (row.kind === 'route' && row.definition.kind === 'route')
    await removeRoute(tx, { environment: row.definition.environment, name: row.definition.name })
  await tx.db
    .deleteFrom('declared')
    .where('project', '=', tx.project)
    .where('kind', '=', row.kind)
    .where('name', '=', row.name)
    .execute()
}

/** Kinds that read others: they are declared again, so that a change of those cannot break them unseen. */
const READERS: readonly Definition['kind'][] = ['feature-view', 'feature-service', 'route', 'pipeline']

async function declareAll(tx: Tx, deps: DeclareDeps, content: ProjectContent, plan: PlanView): Promise<void> {
  const changes = new Map(plan.changes.map((entry) => [keyOf(entry), entry.change]))
  const others = (await readState(tx)).filter((row) => row.source !== content.source)
  await refuseUnknownDatasets(
    tx,
    content.definitions,
    others.map(({ definition }) => definition),
  )
  const sorted = [...content.definitions].sort((a, b) => ORDER.indexOf(a.kind) - ORDER.indexOf(b.kind))
  for (const definition of sorted) {
    const isUnchanged = changes.get(definitionKey(definition)) === 'unchanged'
    if (isUnchanged && !READERS.includes(definition.kind)) continue
    await declare(tx, deps, definition, content)
    if (isUnchanged) continue
    const row = {
      source: content.source,
      digest: digestOf(definition, content),
      definition: JSON.stringify(definition),
      applied_by: tx.principal.id,
    }
    await tx.db
      .insertInto('declared')
      .values({ project: tx.project, kind: definition.kind, name: declaredName(definition), ...row })
      .onConflict((conflict) => conflict.columns(['project', 'kind', 'name']).doUpdateSet(row))
      .execute()
  }
}

async function removeDropped(tx: Tx, plan: PlanView): Promise<void> {
  const deleted = new Set(plan.changes.filter((entry) => entry.change === 'delete').map(keyOf))
  const state = await readState(tx)
  const rows = state.filter((row) => deleted.has(keyOf(row)))
  const hasDataset = rows.some(({ kind }) => kind === 'dataset')
  const readers = readersOf(hasDataset ? state.filter((row) => !deleted.has(keyOf(row))) : [])
  for (const row of rows.sort(
    (a, b) => ORDER.indexOf(b.kind as Definition['kind']) - ORDER.indexOf(a.kind as Definition['kind']), // stored by declareAll
  )) {
    if (row.kind === 'dataset') refuseUsedDataset(row.name, readers)
    await remove(tx, row)
  }
}

/** Ends a transaction that was only tried out. */
class TriedOut extends Error {
  readonly plan: PlanView

  constructor(plan: PlanView) {
    super('tried out')
    this.plan = plan
  }
}

/** More definitions than these are compared only: trying them out would hold the database for seconds, for whoever may look. */
const TRIED_MAX = 200
/** More values than these, in all, are compared only for the same reason. */
const TRIED_VALUES_MAX = 100_000

function hasMoreValues(content: unknown, max: number): boolean {
  let left = max
  const count = (value: unknown): void => {
    left -= 1
    if (typeof value !== 'object' || value === null || left < 0) return
    for (const inner of Object.values(value)) count(inner)
  }
  count(content)
  return left < 0
}

function comparedOnly(plan: PlanView, what: string): PlanView {
  const warning = `more than ${what}: what the server would refuse of them shows at apply`
  return { ...plan, warnings: [...plan.warnings, warning] }
}

/** The plan, with every refusal that `applyPlan` would answer: all of it is tried out in a transaction that is undone. */
export async function reviewPlan(
  ctx: Context,
  deps: PlanDeps,
  content: ProjectContent,
  prune: boolean,
): Promise<PlanView> {
  if (hasMoreValues(content, TRIED_VALUES_MAX))
    return comparedOnly(await planProject(ctx, deps, content, prune), `${TRIED_VALUES_MAX} values`)
  try {
    return await ctx.transaction(async (tx) => {
      const plan = await planProject(tx, deps, content, prune)
      if (plan.changes.length > TRIED_MAX) return comparedOnly(plan, `${TRIED_MAX} definitions`)
      await declareAll(tx, { kinds: deps.kinds, blobs: undefined }, content, plan)
      await removeDropped(tx, plan)
      throw new TriedOut(plan)
    })
  } catch (thrown) {
    if (thrown instanceof TriedOut) return thrown.plan
    throw thrown
  }
}

/**
 * Makes it so, in one transaction: declares in the order of the domains, deletes only with `prune`. Every pipeline is
 * declared again, so that its origin is the commit of this apply.
 * @throws precondition definitions.stale_plan · definitions.blobs_missing
 */
export async function applyPlan(
  ctx: Context,
  deps: PlanDeps,
  content: ProjectContent,
  prune: boolean,
  planDigest: string,
): Promise<PlanView> {
  return ctx.transaction(async (tx) => {
    // Two that apply at once take turns, so that the second sees what the first has made stale.
    await sql`select pg_advisory_xact_lock(hashtextextended(${`apply ${tx.project}`}, 0))`.execute(tx.db)
    const plan = await planProject(tx, deps, content, prune)
    if (plan.digest !== planDigest) {
      throw new PlimsollError(
        'precondition',
        'definitions.stale_plan',
        'Cannot apply the plan: the server has changed since it was made',
        { action: 'Run plimsoll plan again' },
      )
    }
    if (plan.missingBlobs.length > 0)
      throw new PlimsollError(
        'precondition',
        'definitions.blobs_missing',
        `Cannot apply the plan: ${countText(plan.missingBlobs.length, 'code file has', 'code files have')} not been uploaded`,
      )
    await declareAll(tx, deps, content, plan)
    await removeDropped(tx, plan)
    const changes = plan.changes.filter((entry) => entry.change !== 'unchanged')
    await tx.emit({
      type: 'definitions.applied',
      subject: content.source,
      data: { plan: plan.digest, origin: content.origin },
    })
    await tx.audit({
      action: 'project.apply',
      subject: content.source,
      data: {
        plan: plan.digest,
        origin: content.origin,
        changes: changes.map((entry) => `${entry.change} ${keyOf(entry)}`),
      },
    })
    return plan
  })
}
