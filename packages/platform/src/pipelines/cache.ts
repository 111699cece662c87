import type { BlobStore } from '@plimsoll/sdk/seams'
import type { CacheVerdict, PipelineStep, RunOptions } from '@plimsoll/sdk/wire'
import { sql } from 'kysely'
import { canonicalJson, type Json } from '../kernel/canonical.ts'
import type { Context } from '../kernel/db/index.ts'
import { digestValue } from '../kernel/digest.ts'
import { needsOf } from './graph.ts'
import type { StepKinds } from './pipeline.ts'
import { diffSpecs } from './spec-diff.ts'
import { areStored } from './stored-outputs.ts'
import type { NamedOutputs } from './tables.ts'

/** What a step's result depends on, as text by part and name; the cache key is the digest of it all. */
export type CacheComponents = Readonly<Record<CachePart, Readonly<Record<string, string>>>>
const CACHE_PARTS = ['kind', 'code', 'param', 'input', 'env'] as const
type CachePart = (typeof CACHE_PARTS)[number]

const REASON_OF = {
  kind: 'kind-changed',
  code: 'code-changed',
  param: 'param-changed',
  input: 'input-changed',
  env: 'env-changed',
} as const

/** The component `commit` of a step from a tree without changes. */
export const CLEAN = 'clean'

export function cacheKeyOf(components: CacheComponents): string {
  return digestValue({ v: 1, ...components })
}

export interface CacheHit {
  readonly verdict: CacheVerdict
  readonly outputs?: NamedOutputs
  readonly result?: Json
}

function miss(
  reason: CacheVerdict['reason'],
  key: string | null,
  diff: CacheVerdict['diff'] = [],
  source: CacheVerdict['source'] = null,
): CacheHit {
  return { verdict: { hit: false, reason, key, source, diff } }
}

/** Every component that differs, in the order in which one looks for a cause. */
export function diffComponents(old: CacheComponents, now: CacheComponents): CacheVerdict['diff'] {
  return CACHE_PARTS.flatMap((part) => {
    const [before, after] = [old[part] ?? {}, now[part]]
    return [...new Set([...Object.keys(before), ...Object.keys(after)])]
      .sort()
      .filter((name) => before[name] !== after[name])
      .map((name) => ({
        part,
        name,
        old: before[name]?.slice(0, 500) ?? null,
        new: after[name]?.slice(0, 500) ?? null,
      }))
  })
}

/**
 * What a clean tree made of the same code and inputs is as good for one with changes elsewhere: its passport names the commit
 * that has them. What a tree with changes made is never taken for a clean one.
 */
function asOfClean(components: CacheComponents): CacheComponents | undefined {
  const { commit = CLEAN } = components.env
  return commit === CLEAN ? undefined : { ...components, env: { ...components.env, commit: CLEAN } }
}

/** A step that is looked up. */
export interface WantedStep {
  readonly pipeline: string
  readonly step: string
  readonly kind: string
  readonly components: CacheComponents
  readonly spec: Json
  readonly isForced: boolean
  readonly isDisabled: boolean
}

/**
 * Looks a step up. On a miss says why, by comparing with what the same step of the same pipeline had before. `found` are
 * its entries, where they have been read.
 */
export async function lookUp(
  ctx: Context,
  deps: { blobs: BlobStore; kinds: StepKinds },
  wanted: WantedStep,
  found?: FoundEntries,
): Promise<CacheHit> {
  const key = cacheKeyOf(wanted.components)
  if (wanted.isDisabled) return miss('disabled', null)
  if (wanted.isForced) return miss('forced', key)
  const clean = asOfClean(wanted.components)
  const better = clean && (await lookUp(ctx, deps, { ...wanted, components: clean }))
  if (better?.verdict.hit) return better
  const { entry, before } = found ?? (await findEntries(ctx, wanted.pipeline, [wanted])).get(wanted.step) ?? {}
  if (entry) {
    const source = { run: entry.source_run, step: entry.source_step }
    if (entry.is_tainted) return miss('tainted', key, [], source)
    // What a kind leaves beside what its steps declare is in no key: an entry of an earlier release may have less.
    const kind = deps.kinds.get(wanted.kind)
    const contributed = Object.keys(kind?.outputs ?? {})
    const isWhole = contributed.every((name) => Object.hasOwn(entry.outputs, name))
    if (!isWhole || !(await areStored(ctx, deps.blobs, entry.outputs))) return miss('outputs-missing', key, [], source)
    if (kind?.reuse && !(await kind.reuse(ctx, entry.result))) return miss('result-gone', key, [], source)
    return {
      verdict: { hit: true, reason: 'hit', key, source, diff: [] },
      outputs: entry.outputs,
      ...(entry.result === null ? {} : { result: entry.result }),
    }
  }
  if (!before) return miss('first-run', key)
  const diff = await nameSpecChanges(ctx, before, wanted.spec, diffComponents(before.components, wanted.components))
  const first = diff[0]
  return miss(first ? REASON_OF[first.part as CachePart] : 'first-run', key, diff, {
    run: before.source_run,
    step: before.source_step,
  })
}

/** Where an entry comes from, and what its key is made of. */
interface SourceEntry {
  components: CacheComponents
  source_run: string
  source_step: string
}

interface FoundEntry extends SourceEntry {
  wanted: string
  is_exact: boolean
  outputs: NamedOutputs
  is_tainted: boolean
  result: Json | null
}

/** The entry of a step's key; without one, what the same step had before. */
export interface FoundEntries {
  readonly entry?: FoundEntry
  readonly before?: SourceEntry
}

/**
 * What `resolve` found counts as one component, maybe as a digest: what in it differs is an input that changed, and is
 * named from the spec that the step of the entry kept.
 */
async function nameSpecChanges(
  ctx: Context,
  before: SourceEntry,
  spec: Json,
  diff: CacheVerdict['diff'],
): Promise<CacheVerdict['diff']> {
  const isSpec = (entry: CacheVerdict['diff'][number]) => entry.part === 'env' && entry.name === 'spec'
  if (!diff.some(isSpec)) return diff
  const made = await ctx.db
    .selectFrom('step')
    .select('spec')
    .where('run', '=', before.source_run)
    .where('key', '=', before.source_step)
    .executeTakeFirst()
  const changes = made?.spec == null ? [] : diffSpecs(made.spec, spec)
  if (changes.length === 0) return diff
  const isEnv = (entry: CacheVerdict['diff'][number]) => entry.part === 'env'
  return [
    ...diff.filter((entry) => !isEnv(entry)),
    ...changes,
    ...diff.filter((entry) => isEnv(entry) && !isSpec(entry)),
  ]
}

const LOOKED_UP_AT_ONCE = 500

/** What the cache has of steps of one pipeline, by their keys. */
export async function findEntries(
  ctx: Context,
  pipeline: string,
  wanted: readonly Pick<WantedStep, 'step' | 'components'>[],
): Promise<Map<string, FoundEntries>> {
  const found = new Map<string, FoundEntries>()
  for (let start = 0; start < wanted.length; start += LOOKED_UP_AT_ONCE) {
    const some = wanted.slice(start, start + LOOKED_UP_AT_ONCE)
    for (const row of await findOwn(ctx, pipeline, some))
      found.set(row.wanted, { ...found.get(row.wanted), ...(row.is_exact ? { entry: row } : { before: row }) })
    const left = some.filter(({ step }) => !found.has(step)).map(({ step }) => step)
    if (left.length > 0) for (const row of await findTaken(ctx, pipeline, left)) found.set(row.wanted, { before: row })
  }
  return found
}

const ENTRIES_LOOKED_AT_MAX = 8

/** The entries of the keys; where there is none, of the newest of the same pipeline and step one with the same params, if there is one. */
async function findOwn(
  ctx: Context,
  pipeline: string,
  wanted: readonly Pick<WantedStep, 'step' | 'components'>[],
): Promise<readonly FoundEntry[]> {
  const steps = wanted.map(({ step }) => step)
  const keys = wanted.map(({ components }) => cacheKeyOf(components))
  const params = wanted.map(({ components }) => canonicalJson(components.param))
  const { rows } = await sql<FoundEntry>`
    with w as (select * from unnest(${steps}::text[], ${keys}::text[], ${params}::text[]) as w(wanted, key, params))
    select w.wanted, true as is_exact, e.components, e.outputs, e.is_tainted, e.source_run, e.source_step, s.result
    from w join cache_entry e on e.project = ${ctx.project} and e.key = w.key
    left join step s on s.run = e.source_run and s.key = e.source_step
    union all
    select w.wanted, false, e.components, e.outputs, e.is_tainted, e.source_run, e.source_step, null
    from w cross join lateral (
      select * from (
        select * from cache_entry where project = ${ctx.project} and pipeline = ${pipeline} and step = w.wanted
        order by created_at desc limit ${ENTRIES_LOOKED_AT_MAX}) newest
      order by (components -> 'param') = w.params::jsonb desc, created_at desc limit 1) e
    where not exists (select from cache_entry exact where exact.project = ${ctx.project} and exact.key = w.key)`.execute(
    ctx.db,
  )
  return rows
}

const RUNS_LOOKED_AT_MAX = 5

/** What one of the last runs of the pipeline took from the cache for these steps: another pipeline had made it. */
async function findTaken(
  ctx: Context,
  pipeline: string,
  steps: readonly string[],
): Promise<readonly (SourceEntry & { wanted: string })[]> {
  const { rows } = await sql<SourceEntry & { wanted: string }>`
    select distinct on (s.key) s.key as wanted, e.components, e.source_run, e.source_step from
      (select id from pipeline_run where project = ${ctx.project} and pipeline = ${pipeline}
        order by id desc limit ${RUNS_LOOKED_AT_MAX}) r
      join step s on s.run = r.id and s.key = any(${[...steps]}::text[])
      join cache_entry e on e.project = s.project and e.key = s.cache_key
    order by s.key, r.id desc`.execute(ctx.db)
  return rows
}

/** Steps that must run though the cache may know them: the forced ones, and all that depend on `forceFrom`. */
export function forcedSteps(steps: readonly PipelineStep[], options: RunOptions): Set<string> {
  const forced = new Set([...options.force, ...options.forceFrom])
  const tainted = new Set(options.forceFrom)
  for (let grew = true; grew; ) {
    grew = false
    for (const step of steps) {
      if (!tainted.has(step.key) && needsOf(step).some((need) => tainted.has(need))) {
        tainted.add(step.key)
        forced.add(step.key)
        grew = true
      }
    }
  }
  return forced
}
