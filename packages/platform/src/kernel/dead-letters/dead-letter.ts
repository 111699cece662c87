import { sql } from 'kysely'
import { type Context, observeCounts } from '../db/index.ts'
import { discardDeadEvent, listDeadEvents, retryDeadEvent } from '../events/index.ts'
import { discardDeadJob, listDeadJobs, retryDeadJob } from '../jobs/index.ts'
import type { Metrics } from '../telemetry/index.ts'

/** A job that used up its attempts, or an event that a consumer could not handle: nothing tries it again by itself. */
export interface DeadLetter {
  id: string
  kind: 'job' | 'event'
  /** Kind of the job, type of the event. */
  type: string
  /** Who could not handle the event. */
  consumer: string | null
  /** Of an event its subject; of a job the key that keeps a second one away. */
  subject: string | null
  attempts: number
  error: string | null
  since: Date
}

/** Dead letters of the project, newest first, at most `limit`; and how many there are. */
export async function listDeadLetters(ctx: Context, limit: number): Promise<{ letters: DeadLetter[]; total: number }> {
  const jobs = await listDeadJobs(ctx, limit)
  const events = await listDeadEvents(ctx, limit)
  const letters: DeadLetter[] = [
    ...jobs.map(({ kind: type, dedupeKey: subject, deadAt: since, ...job }) => ({
      ...job,
      kind: 'job' as const,
      type,
      consumer: null,
      subject,
      since,
    })),
    ...events.map(({ deadAt: since, ...event }) => ({ ...event, kind: 'event' as const, since })),
  ]
  return {
    letters: letters.sort((a, b) => b.since.getTime() - a.since.getTime()).slice(0, limit),
    total: Number(jobs[0]?.total ?? 0) + Number(events[0]?.total ?? 0),
  }
}

function isJob(id: string): boolean {
  return id.startsWith('job_')
}

/** A dead letter is tried again, with all its attempts. @throws not_found · precondition · conflict */
export function retryDeadLetter(ctx: Context, id: string): Promise<void> {
  return isJob(id) ? retryDeadJob(ctx, id) : retryDeadEvent(ctx, id)
}

/** A dead letter is given up for good. @throws not_found · precondition */
export function discardDeadLetter(ctx: Context, id: string): Promise<void> {
  return isJob(id) ? discardDeadJob(ctx, id) : discardDeadEvent(ctx, id)
}

/** Adds `plimsoll_dead_letters`, over all projects. */
export function observeDeadLetters(ctx: Context, metrics: Metrics): void {
  observeCounts(ctx, metrics, {
    name: 'plimsoll_dead_letters',
    help: 'Jobs and events that nothing tries again by itself',
    label: 'kind',
    count: async ({ db }) => {
      const { rows } = await sql<{ job: bigint; event: bigint }>`
        select (select count(*) from job where state = 'dead') as job,
          (select count(*) from outbox_parked where dead_at is not null) as event
      `.execute(db)
      return { ...rows[0]! } // counts are one row
    },
  })
}
