import { z } from 'zod'
import { declareEvents, type EventsOf } from '../db/index.ts'

export const authEvents = declareEvents({
  'auth.tokens_changed': {
    happened: 'A token was made or revoked',
    subject: 'id of the token',
    data: z.strictObject({}),
  },
})

declare module '../db/events.ts' {
  interface Events extends EventsOf<typeof authEvents> {}
}
