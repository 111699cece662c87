import { z } from 'zod'
import { declareEvents, type EventsOf } from './index.ts'

const anything = { happened: 'A test says so', subject: 'anything', data: z.unknown() }

/** Events of tests of the kernel, which has few of its own. */
export const testEvents = declareEvents({
  'test.happened': anything,
  'test.other': anything,
  'test.counted': { ...anything, data: z.strictObject({ n: z.int() }) },
  'other.happened': anything,
})

declare module './events.ts' {
  interface Events extends EventsOf<typeof testEvents> {}
}
