import { z } from 'zod'
import { wholeText } from './count.ts'

/** How many dead letters. */
export const deadLettersQuery = z.strictObject({ limit: wholeText({ min: 1, max: 500 }).default(100) })

/** Jobs that used up their attempts and events that a consumer could not handle; `total` counts those not shown too. */
export const deadLetterPage = z.object({
  letters: z.array(
    z.object({
      id: z.string(),
      kind: z.enum(['job', 'event']),
      type: z.string(),
      consumer: z.string().nullable(),
      subject: z.string().nullable(),
      attempts: z.int(),
      error: z.string().nullable(),
      since: z.iso.datetime(),
    }),
  ),
  total: z.int(),
})
