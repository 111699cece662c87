import { z } from 'zod'

/** What the control plane says of itself: its version, its time, and how fast a replay's time runs. */
export const health = z.object({
  status: z.literal('ok'),
  version: z.string(),
  time: z.iso.datetime(),
  replay_rate: z.number().nullable(),
})
