import type { RunOptions } from '@plimsoll/sdk/wire'
import type { Json } from '../kernel/canonical.ts'
import type { Context } from '../kernel/db/index.ts'
import { forcedSteps } from './cache.ts'
import { type PipelineVersion, requirePipelineVersion } from './pipeline.ts'

/** What never changes during a run. */
export interface RunFacts {
  readonly pipeline: PipelineVersion
  readonly params: Readonly<Record<string, Json>>
  readonly options: RunOptions
  readonly forced: ReadonlySet<string>
}

/** Definitions may hold 10,000 steps: few are kept. */
const RUNS_KEPT = 16

async function readFacts(ctx: Context, run: string): Promise<RunFacts> {
  const row = await ctx.db
    .selectFrom('pipeline_run')
    .select(['params', 'options', 'pipeline_digest'])
    .where('id', '=', run)
    .executeTakeFirstOrThrow()
  const pipeline = await requirePipelineVersion(ctx, row.pipeline_digest)
  return {
    pipeline,
    params: row.params,
    options: row.options,
    forced: forcedSteps(pipeline.definition.steps, row.options),
  }
}

/** Reads the facts of a run once; the least recently used are forgotten. */
export function openRunFacts(): (ctx: Context, run: string) => Promise<RunFacts> {
  const kept = new Map<string, Promise<RunFacts>>()
  return (ctx, run) => {
    const facts = kept.get(run) ?? readFacts(ctx, run)
    kept.delete(run)
    kept.set(run, facts)
    if (kept.size > RUNS_KEPT) kept.delete(kept.keys().next().value!)
    facts.catch(() => kept.delete(run))
    return facts
  }
}
