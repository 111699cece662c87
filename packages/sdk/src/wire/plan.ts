import { z } from 'zod'
import { codeBundle, DEFINITION_KINDS, definition, definitionName } from './definition/index.ts'

const digest = z.string().regex(/^sha256:[0-9a-f]{64}$/)

/** What a project folder declares, evaluated: definitions, code by digest, and where it came from. */
export const projectContent = z.strictObject({
  /** Name of the folder's project; `apply` owns only what this source declared. */
  source: definitionName,
  origin: z.strictObject({ commit: z.string().max(64).nullable(), isDirty: z.boolean() }),
  definitions: z.array(definition).max(10_000),
  /** Code of steps, by pipeline and step. */
  bundles: z.record(z.string(), z.record(z.string(), codeBundle)),
})
export type ProjectContent = z.output<typeof projectContent>

export const planBody = z.strictObject({ content: projectContent, prune: z.boolean().default(false) })
export const applyBody = planBody.extend({ plan: digest })

export const definitionChange = z.strictObject({
  kind: z.enum(DEFINITION_KINDS),
  name: z.string(),
  change: z.enum(['create', 'change', 'delete', 'unchanged', 'kept']),
  diff: z.array(z.strictObject({ pointer: z.string(), old: z.json().nullable(), new: z.json().nullable() })),
})
export type DefinitionChange = z.output<typeof definitionChange>

/** `digest` binds the content and the state that it was compared with: a plan made against an older state is refused. */
export const planView = z.strictObject({
  digest,
  base: digest,
  changes: z.array(definitionChange),
  warnings: z.array(z.string()),
  missingBlobs: z.array(digest),
})
export type PlanView = z.output<typeof planView>
