import { z } from 'zod'
import { json } from '../json.ts'
import { definitionName, described } from './name.ts'

/** A declared criterion. Stored and shown now; judged by the gates of delivery. */
export const gate = z.strictObject({
  type: z.string().regex(/^[a-z][a-z-]{0,62}$/, 'expected a kind of gate: lower-case letters and -'),
  kwargs: z.record(z.string(), json).default({}),
})

/**
 * A registered model: the gates that judge its versions, the approvals that an environment asks for, and its purpose.
 */
export const modelDefinition = z.strictObject({
  kind: z.literal('model'),
  name: definitionName,
  ...described,
  gates: z.array(gate).max(100).default([]),
  /** Approvals that an environment needs, by its name. */
  approvals: z.record(definitionName, z.int().min(0).max(10)).default({ production: 1 }),
  /** Notes of the passport that a definition may fill. */
  intent: z
    .strictObject({
      intendedUse: z.string().max(4_000).optional(),
      outOfScope: z.string().max(4_000).optional(),
      limitations: z.string().max(4_000).optional(),
      licence: z.string().max(100).optional(),
      riskClass: z.enum(['minimal', 'limited', 'high']).optional(),
    })
    .default({}),
})
/** The definition of a model, its defaults filled in. */
export type ModelDefinition = z.output<typeof modelDefinition>
