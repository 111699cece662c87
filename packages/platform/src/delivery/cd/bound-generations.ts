import { sql } from 'kysely'
import type { Context } from '../../kernel/db/index.ts'
import './tables.ts'

/**
 * Generations of views that routes of all projects look up: by what serves, and by what served within the grace and may
 * be rolled back to.
 */
export async function boundGenerations(ctx: Context, graceMs: number): Promise<ReadonlySet<number>> {
  const { rows } = await sql<{ generation: number }>`
    with served as (
      select signature, case action when 'retire' then created_at else
        lead(created_at) over (partition by project, environment, route order by epoch) end as ended_at
      from release
    )
    select distinct (looked->>'generation')::integer as generation
    from served, jsonb_array_elements(case jsonb_typeof(signature->'features')
      when 'object' then signature->'features'->'views' else '[]'::jsonb end) as looked
    where ended_at is null or ended_at > clock_timestamp() - ${graceMs}::float8 * interval '1 millisecond'`.execute(
    ctx.db,
  )
  return new Set(rows.map((row) => row.generation))
}
