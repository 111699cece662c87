import { sql } from 'kysely'
import type { Context } from '../kernel/db/index.ts'

/** Of the pipeline whose run it is. */
export const PIPELINE_DIGEST = `sha256:${'d'.repeat(64)}`
const ORIGIN = JSON.stringify({ source: 'flights', commit: 'c0ffee', isDirty: false })

/** An attempt that goes on, of a step that has tracked nothing yet. */
export async function goingAttempt(
  { db, project }: Context,
  fence: bigint,
): Promise<{ project: string; run: string; key: string; fence: bigint }> {
  const run = `run_${fence}`
  await sql`insert into pipeline_version (project, digest, name, definition, bundles, origin)
    values (${project}, ${PIPELINE_DIGEST}, 'p', '{}', '{}', ${ORIGIN}) on conflict do nothing`.execute(db)
  await sql`insert into pipeline_run (id, project, pipeline, pipeline_digest, params, options, state, actor, body_digest)
    values (${run}, ${project}, 'p', ${PIPELINE_DIGEST}, '{}', '{}', 'running', 'ada', 'b')`.execute(db)
  await sql`insert into step (project, run, key, kind, definition, position, state, waiting, fence, started_at)
    values (${project}, ${run}, 'fit', 'command', '{"inputs": {}, "params": {}}', 0, 'running', 0, ${fence}, clock_timestamp())`.execute(
    db,
  )
  await sql`insert into attempt (project, fence, run, key, number, state, executor)
    values (${project}, ${fence}, ${run}, 'fit', 1, 'running', 'test')`.execute(db)
  return { project, run, key: 'fit', fence }
}
