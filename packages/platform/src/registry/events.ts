import { digest } from '@plimsoll/sdk/wire'
import { z } from 'zod'
import { declareEvents, type EventsOf } from '../kernel/db/index.ts'

const nothing = z.strictObject({})
const version = z.int().positive()

export const registryEvents = declareEvents({
  'registry.model_declared': {
    happened: 'A registered model was declared, or its definition was changed',
    subject: 'name of the model',
    data: z.strictObject({ digest: digest }),
  },
  'registry.model_created': {
    happened: 'A registered model was made without a definition',
    subject: 'name of the model',
    data: nothing,
  },
  'registry.model_renamed': {
    happened: 'A registered model got another name',
    subject: 'new name of the model',
    data: z.strictObject({ from: z.string() }),
  },
  'registry.model_deleted': {
    happened: 'A registered model was deleted with its versions',
    subject: 'name of the model',
    data: nothing,
  },
  'registry.version_registered': {
    happened: 'A model got a version; one that has no artifact in the store names none',
    subject: 'model/version',
    data: z.strictObject({ artifact: digest.nullable(), passport: digest }),
  },
  'registry.version_approved': {
    happened: 'Somebody approved a version for an environment, by its digests',
    subject: 'model/version',
    data: z.strictObject({ environment: z.string(), by: z.string(), artifact: digest, passport: digest }),
  },
  'registry.version_deleted': {
    happened: 'A model version was deleted',
    subject: 'model/version',
    data: nothing,
  },
  'registry.alias_moved': {
    happened: 'An alias was made, or points to another version',
    subject: 'model@alias',
    data: z.strictObject({ from: version.nullable(), to: version }),
  },
  'registry.alias_deleted': {
    happened: 'An alias was deleted',
    subject: 'model@alias',
    data: nothing,
  },
})

declare module '../kernel/db/events.ts' {
  interface Events extends EventsOf<typeof registryEvents> {}
}
