import { digest } from '@plimsoll/sdk/wire'
import { z } from 'zod'
import { declareEvents, type EventsOf } from '../../kernel/db/index.ts'

export const servingEvents = declareEvents({
  'serving.snapshot_published': {
    happened: 'A snapshot of what should serve was signed for the gateways',
    subject: 'serving: there is one for all projects',
    data: z.strictObject({ epoch: z.int().positive(), contentDigest: digest }),
  },
})

declare module '../../kernel/db/events.ts' {
  interface Events extends EventsOf<typeof servingEvents> {}
}
