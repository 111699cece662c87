import { digest, projectContent } from '@plimsoll/sdk/wire'
import { z } from 'zod'
import { declareEvents, type EventsOf } from '../kernel/db/index.ts'

export const definitionEvents = declareEvents({
  'definitions.applied': {
    happened: 'A plan was applied: what the project folder declares is so',
    subject: 'name of the project folder',
    data: z.strictObject({ plan: digest, origin: projectContent.shape.origin }),
  },
})

declare module '../kernel/db/events.ts' {
  interface Events extends EventsOf<typeof definitionEvents> {}
}
