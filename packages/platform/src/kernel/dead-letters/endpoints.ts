import { deadLetterPage, deadLettersQuery } from '@plimsoll/sdk/wire'
import { z } from 'zod'
import { type AnyEndpoint, endpoint } from '../http/index.ts'
import { discardDeadLetter, listDeadLetters, retryDeadLetter } from './dead-letter.ts'

const params = z.strictObject({ letter: z.string().max(512) })

/** What jobs and consumers of events gave up on. */
export const deadLetterEndpoints: readonly AnyEndpoint[] = [
  endpoint({
    method: 'GET',
    path: '/api/v1/dead-letters',
    scope: 'viewer',
    summary: 'Jobs that used up their attempts and events that a consumer could not handle, newest first',
    query: deadLettersQuery,
    response: deadLetterPage,
    handler: async ({ ctx, query }) => {
      const { letters, total } = await listDeadLetters(ctx, query.limit)
      return { letters: letters.map((letter) => ({ ...letter, since: letter.since.toISOString() })), total }
    },
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
