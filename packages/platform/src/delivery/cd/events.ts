import { digest } from '@plimsoll/sdk/wire'
import { z } from 'zod'
import { declareEvents, type EventsOf } from '../../kernel/db/index.ts'

const moved = z.strictObject({
  release: z.string(),
  epoch: z.int().positive(),
  model: z.string(),
  version: z.int().positive(),
  artifact: digest,
  passport: digest,
  /** Artifact that served before; null for none. */
  from: digest.nullable(),
})

export const deliveryEvents = declareEvents({
  'delivery.route_declared': {
    happened: 'A route was declared, or its definition was changed',
    subject: 'environment/route',
    data: z.strictObject({ digest: digest }),
  },
  'delivery.assigned': {
    happened: 'A release or a rollback let another version serve on a route; from is the artifact that served before',
    subject: 'environment/route',
    data: moved,
  },
  'delivery.retired': {
    happened: 'What a route served was retired: nothing serves on it',
    subject: 'environment/route',
    data: moved,
  },
})

declare module '../../kernel/db/events.ts' {
  interface Events extends EventsOf<typeof deliveryEvents> {}
}
