import { digest, RUN_STATES } from '@plimsoll/sdk/wire'
import { z } from 'zod'
import { declareEvents, type EventsOf } from '../kernel/db/index.ts'

const state = z.enum(RUN_STATES)
/** Steps of a run, and those of them that the cache answered. */
const planned = { steps: z.int().nonnegative(), cached: z.int().nonnegative() }

export const pipelineEvents = declareEvents({
  'pipelines.declared': {
    happened: 'A pipeline was declared, or its definition or code was changed',
    subject: 'name of the pipeline',
    data: z.strictObject({ digest: digest }),
  },
  'pipelines.run_queued': {
    happened: 'Somebody started a run',
    subject: 'id of the run',
    data: z.strictObject({ pipeline: z.string(), digest: digest }),
  },
  'pipelines.run_started': {
    happened: 'A run was planned, and has steps that the cache did not answer',
    subject: 'id of the run',
    data: z.strictObject({ state: state.extract(['running']), ...planned }),
  },
  'pipelines.run_cancelling': {
    happened: 'Somebody asked a run to end; where nothing of it was running, it has ended',
    subject: 'id of the run',
    data: z.strictObject({ state: state.extract(['cancelling', 'cancelled']) }),
  },
  'pipelines.run_finished': {
    happened:
      'A run has ended: code where it could not be planned, steps and cached where the cache answered all of it',
    subject: 'id of the run',
    data: z.strictObject({
      state: state.extract(['succeeded', 'failed', 'cancelled']),
      code: z.string().optional(),
      steps: planned.steps.optional(),
      cached: planned.cached.optional(),
    }),
  },
  'pipelines.step_retried': {
    happened: 'An attempt failed, and its step waits for the next one',
    subject: 'id of the run',
    data: z.strictObject({ step: z.string(), delayMs: z.number().nonnegative() }),
  },
  'pipelines.cache_nondeterministic': {
    happened: 'A step made other outputs than its cache entry has, which is used no more',
    subject: 'key of the cache entry',
    data: z.strictObject({ run: z.string(), step: z.string() }),
  },
})

declare module '../kernel/db/events.ts' {
  interface Events extends EventsOf<typeof pipelineEvents> {}
}
