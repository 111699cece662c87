import { type Kysely, sql } from 'kysely'

/** Notes that were kept before the audit told of them are told now, so that they can be compared with it. */
export async function up(db: Kysely<never>): Promise<void> {
  await sql`insert into audit (project, actor, proof, action, subject, data)
    select project, changed_by, 'none', 'model.notes', model, jsonb_build_object('revision', revision, 'digest', digest)
    from model_notes order by project, model, revision`.execute(db)
}
