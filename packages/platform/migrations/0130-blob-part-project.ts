import { type Kysely, sql } from 'kysely'

/** What a manifest names belongs to the projects whose own rows said so: who only names the manifest does not reach it. */
export async function up(db: Kysely<never>): Promise<void> {
  await sql`alter table blob_part drop constraint blob_part_pkey`.execute(db)
  await sql`alter table blob_part add column project text`.execute(db)
  await sql`insert into blob_part (root, digest, project)
    select distinct b.root, b.digest, p.project from blob_part b join blob_pin p on p.digest = b.root`.execute(db)
  await sql`delete from blob_part where project is null`.execute(db)
  await sql`alter table blob_part alter column project set not null`.execute(db)
  await sql`alter table blob_part add primary key (root, digest, project)`.execute(db)
  await sql`comment on table blob_part is 'retention: as long as its root is stored'`.execute(db)
}
