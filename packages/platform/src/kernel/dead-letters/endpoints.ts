import { z } from 'zod'
import { type AnyEndpoint, endpoint, pageLimit } from '../http/index.ts'
import { discardDeadLetter, listDeadLetters, retryDeadLetter } from './dead-letter.ts'

const letter = z.object({
  id: z.string(),
  kind: z.enum(['job', 'event']),
  type: z.string(),
  consumer: z.string().nullable(),
  subject: z.string().nullable(),
  attempts: z.int(),
  error: z.string().nullable(),
  since: z.date().transform((date) => date.toISOString()),
})

const params = z.strictObject({ letter: z.string().max(512) })

/** What jobs and consumers of events gave up on. */
export const deadLetterEndpoints: readonly AnyEndpoint[] = [
  endpoint({
    method: 'GET',
    path: '/api/v1/dead-letters',
    scope: 'viewer',
    summary: 'Jobs that used up their attempts and events that a consumer could not handle, newest first',
    query: z.strictObject({ limit: pageLimit(500).default(100) }),
    response: z.object({ letters: z.array(letter), total: z.int() }),
    handler: async ({ ctx, query }) => listDeadLetters(ctx, query.limit),
  }),
  endpoint({
    method: 'POST',
    path: '/api/v1/dead-letters/:letter/retry',
    scope: 'admin',
    summary: 'Tries a dead letter again, with all its attempts',
    params,
    response: 'nothing',
    handler: async ({ ctx, params }) => retryDeadLetter(ctx, params.letter),
  }),
  endpoint({
    method: 'POST',
    path: '/api/v1/dead-letters/:letter/discard',
    scope: 'admin',
    summary: 'Removes a dead letter: nothing will try it again',
    params,
    response: 'nothing',
    handler: async ({ ctx, params }) => discardDeadLetter(ctx, params.letter),
  }),
]
