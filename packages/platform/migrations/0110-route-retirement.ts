import { type Kysely, sql } from 'kysely'

/** A route may be retired; and champions are made what the routes of their model serve, where they had stayed behind. */
export async function up(db: Kysely<never>): Promise<void> {
  await sql`alter table release drop constraint release_action_check`.execute(db)
  await sql`alter table release add constraint release_action_check check (action in ('release', 'rollback', 'retire'))`.execute(
    db,
  )
  await sql`delete from model_alias a where (a.alias = 'champion' or a.alias like 'champion@%') and not exists (
    select from assignment s where s.project = a.project and s.model = a.model
      and a.alias = case s.environment when 'production' then 'champion' else 'champion@' || s.environment end)`.execute(
    db,
  )
  await sql`update model_alias a set version = s.version from (
      select distinct on (assignment.project, assignment.environment, assignment.model) assignment.*
      from assignment join release on release.id = assignment.release
      order by assignment.project, assignment.environment, assignment.model, release.created_at desc, release.id desc) s
    where s.project = a.project and s.model = a.model and a.version <> s.version
      and a.alias = case s.environment when 'production' then 'champion' else 'champion@' || s.environment end`.execute(
    db,
  )
}
