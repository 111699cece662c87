import { type Kysely, sql } from 'kysely'

/** Labels as they become known, and their join with predictions. */
export async function up(db: Kysely<never>): Promise<void> {
  await sql`create table prediction_label (
    project text not null,
    prediction text not null,
    row_index integer not null,
    label double precision not null,
    known_at_ms bigint not null,
    received_at timestamptz not null default clock_timestamp(),
    joined boolean not null default false,
    primary key (project, prediction, row_index)
  )`.execute(db)
  await sql`comment on table prediction_label is 'retention: predictions'`.execute(db)
  await sql`create index prediction_label_unjoined on prediction_label (project, prediction) where not joined`.execute(
    db,
  )
  await sql`create table outcome (
    project text not null,
    prediction text not null,
    row_index integer not null,
    environment text not null,
    route text not null,
    release text not null,
    arm text not null,
    artifact text not null,
    at_ms bigint not null,
    known_at_ms bigint not null,
    score double precision not null,
    label double precision not null,
    primary key (project, prediction, row_index)
  )`.execute(db)
  await sql`comment on table outcome is 'retention: predictions'`.execute(db)
  await sql`create index outcome_route on outcome (project, environment, route, at_ms)`.execute(db)
}
