import { z } from 'zod'
import { codeBundle, pipelineDefinition } from './definition/pipeline.ts'
import { loosely } from './loosely.ts'

/** Pipelines of the project; `digest` is that of the definition which was applied last. */
export const pipelineList = z.object({ pipelines: z.array(z.object({ name: z.string(), digest: z.string() })) })

/**
 * A pipeline as it was applied last: its definition, the code of its steps by their keys, and the project folder that
 * declares it. `commit` is null where the folder is in no repository; `isDirty`: it held changes that were not committed.
 */
export const pipelineVersion = z.object({
  name: z.string(),
  digest: z.string(),
  definition: loosely(pipelineDefinition),
  bundles: z.record(z.string(), loosely(codeBundle)),
  origin: z.object({ source: z.string(), commit: z.string().nullable(), isDirty: z.boolean() }),
})
