import type { BlobStore } from '@plimsoll/sdk/seams'
import type { CacheVerdict, PipelineStep, RunOptions } from '@plimsoll/sdk/wire'
import { sql } from 'kysely'
import type { Json } from '../kernel/canonical.ts'
import type { Context } from '../kernel/db/index.ts'
import { digestValue } from '../kernel/digest.ts'
import { needsOf } from './graph.ts'
import type { StepKinds } from './pipeline.ts'
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

async function areStored(blobs: BlobStore, outputs: NamedOutputs): Promise<boolean> {
  for (const output of Object.values(outputs)) if ((await blobs.stat(output.digest)) === undefined) return false
  return true
}

/** Looks a step up. On a miss says why, by comparing with the newest entry of the same pipeline and step. */
export async function lookUp(
  ctx: Context,
  deps: { blobs: BlobStore; kinds: StepKinds },
  wanted: {
    pipeline: string
    step: string
    kind: string
    components: CacheComponents
    isForced: boolean
    isDisabled: boolean
  },
): Promise<CacheHit> {
  const key = cacheKeyOf(wanted.components)
  if (wanted.isDisabled) return miss('disabled', null)
  if (wanted.isForced) return miss('forced', key)
  const { entry, newest } = await findEntries(ctx, key, wanted)
  if (entry) {
    const source = { run: entry.source_run, step: entry.source_step }
    if (entry.is_tainted) return miss('tainted', key, [], source)
    if (!(await areStored(deps.blobs, entry.outputs))) return miss('outputs-missing', key, [], source)
    const isCurrent = deps.kinds.get(wanted.kind)?.isCurrent
    if (isCurrent && !(await isCurrent(ctx, entry.result))) return miss('result-gone', key, [], source)
    return {
      verdict: { hit: true, reason: 'hit', key, source, diff: [] },
      outputs: entry.outputs,
      ...(entry.result === null ? {} : { result: entry.result }),
    }
  }
  if (!newest) return miss('first-run', key)
  const diff = diffComponents(newest.components, wanted.components)
  const first = diff[0]
  return miss(first ? REASON_OF[first.part as CachePart] : 'first-run', key, diff, {
    run: newest.source_run,
    step: newest.source_step,
  })
}

interface FoundEntry {
  is_exact: boolean
  components: CacheComponents
  outputs: NamedOutputs
  is_tainted: boolean
  source_run: string
  source_step: string
  result: Json | null
}

/** The entry of the key, and the newest one of the same pipeline and step, in one query. */
async function findEntries(
  ctx: Context,
  key: string,
  wanted: { pipeline: string; step: string },
): Promise<{ entry: FoundEntry | undefined; newest: FoundEntry | undefined }> {
  const found = await sql<FoundEntry>`
    select true as is_exact, e.components, e.outputs, e.is_tainted, e.source_run, e.source_step, s.result
    from cache_entry e left join step s on s.run = e.source_run and s.key = e.source_step
    where e.project = ${ctx.project} and e.key = ${key}
    union all
    (select false, components, outputs, is_tainted, source_run, source_step, null from cache_entry
    where project = ${ctx.project} and pipeline = ${wanted.pipeline} and step = ${wanted.step}
    order by created_at desc limit 1)`.execute(ctx.db)
  return { entry: found.rows.find((row) => row.is_exact), newest: found.rows.find((row) => !row.is_exact) }
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
