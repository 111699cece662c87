import type { BlobStore } from '@plimsoll/sdk/seams'
import type { CacheVerdict } from '@plimsoll/sdk/wire'
import { sql } from 'kysely'
import { pinAll } from '../kernel/blob/index.ts'
import type { Json } from '../kernel/canonical.ts'
import { type Context, type DatabaseClock, databaseClock, givenRows } from '../kernel/db/index.ts'
import { digestsOfOutputs, runOwner } from './pins.ts'
import { cascade, endedRows, lockedRuns, type MovedRun, releasing } from './release-dependents.ts'
import type { ClaimedStep } from './store.ts'
import type { NamedOutputs } from './tables.ts'

/** What a claimed step becomes that was found in the cache when it was about to start. */
export interface Adopted {
  readonly step: ClaimedStep
  readonly verdict: CacheVerdict
  readonly outputs: NamedOutputs
  readonly result: Json | undefined
  readonly spec: Json
  readonly inputs: NamedOutputs
}

const COLUMNS = {
  run: 'text',
  key: 'text',
  verdict: 'jsonb',
  cache_key: 'text',
  spec: 'jsonb',
  inputs: 'jsonb',
  outputs: 'jsonb',
  result: 'jsonb',
} as const

/** Ends claimed steps of one project that the cache knew after all: no attempt is used. */
export async function adoptCached(
  ctx: Context,
  blobs: BlobStore,
  items: readonly Adopted[],
  clock: DatabaseClock,
): Promise<boolean[]> {
  return ctx.as({ project: items[0]!.step.project }).transaction(async (tx) => {
    const steps = items.map(({ step }) => step)
    const fences = steps.map(({ fence }) => fence)
    const locked = await sql<{ fence: bigint }>`
      with ${lockedRuns(steps)}
      select s.fence from step s join r on r.id = s.run where s.fence in (${sql.join(fences)}) and s.state = 'running'
        and s.key in (${sql.join(steps.map(({ key }) => key))})
      order by s.run, s.key for update of s`.execute(tx.db)
    const held = new Set(locked.rows.map((row) => row.fence))
    if (held.size === 0) return items.map(() => false)
    const kept = items.filter(({ step }) => held.has(step.fence))
    // Not those that have lost their fence: they tell how they ended.
    await tx.db
      .deleteFrom('attempt')
      .where('fence', 'in', [...held])
      .execute()
    const pins = kept.map(({ step, outputs }) => ({ owner: runOwner(step.run), digests: digestsOfOutputs(outputs) }))
    await pinAll(tx, blobs, pins)
    const keys = kept.flatMap(({ verdict }) => (verdict.key === null ? [] : [verdict.key]))
    if (keys.length > 0) {
      await tx.db
        .updateTable('cache_entry')
        .set((eb) => ({ hits: eb('hits', '+', 1), last_hit_at: databaseClock() }))
        .where('project', '=', tx.project)
        .where('key', 'in', keys)
        .execute()
    }
    const rows = kept.map(({ step, verdict, ...made }) => ({
      ...made,
      run: step.run,
      key: step.key,
      verdict,
      cache_key: verdict.key,
    }))
    await sql`
      update step s set state = 'cached', reason = null, lease_owner = null, lease_expires_at = null,
        finished_at = ${clock()}, cache_verdict = d.verdict, cache_key = d.cache_key, spec = d.spec,
        inputs = d.inputs, outputs = d.outputs, result = d.result
      from ${givenRows('d', COLUMNS, rows)} where s.run = d.run and s.key = d.key`.execute(tx.db)
    const ended = endedRows(kept.map(({ step: { run, key } }) => ({ run, key, isFailure: false })))
    const moved =
      await sql<MovedRun>`with ended as (${ended}), ${releasing(clock)} select run, open, cascaded from moved`.execute(
        tx.db,
      )
    for (const run of moved.rows) await cascade(tx, run, clock)
    return items.map(({ step }) => held.has(step.fence))
  })
}
