import { type Kysely, sql } from 'kysely'

/** Versions that routes serve: an alias tells of one route only, and two may serve versions of one model. */
export async function up(db: Kysely<never>): Promise<void> {
  await sql`create table version_hold (
    project text not null,
    holder text not null,
    model text collate "C" not null,
    version integer not null,
    primary key (project, holder),
    foreign key (project, model, version) references model_version (project, model, version) on update cascade
  )`.execute(db)
  await sql`comment on table version_hold is 'retention: definitions'`.execute(db)
  await sql`create index version_hold_version on version_hold (project, model, version)`.execute(db)
  await sql`insert into version_hold (project, holder, model, version)
    select project, environment || '/' || route, model, version from assignment`.execute(db)
}
