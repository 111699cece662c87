import { z } from 'zod'
import { codeBundle, DEFINITION_KINDS, definition, definitionName } from './definition/index.ts'
import { digest } from './digest.ts'
import { json } from './json.ts'

/** What a project folder declares, evaluated: definitions, code by digest, and where it came from. */
export const projectContent = z.strictObject({
  /** Name of the folder's project; `apply` owns only what this source declared. */
  source: definitionName,
  origin: z.strictObject({ commit: z.string().max(64).nullable(), isDirty: z.boolean() }),
  definitions: z.array(definition).max(10_000),
  /** Code of steps, by pipeline and step. */
  bundles: z.record(z.string(), z.record(z.string(), codeBundle)),
})
/** What a project folder declares, as it is sent for a plan. */
export type ProjectContent = z.output<typeof projectContent>

/** Asks for a plan. With `prune`, what the source declared before and does no longer is deleted. */
export const planBody = z.strictObject({ content: projectContent, prune: z.boolean().default(false) })
/** Applies a plan by its digest: the same content, and the state that the plan was made against. */
export const applyBody = planBody.extend({ plan: digest })

/**
 * What a plan does to one definition: `kept` is declared no longer and stays without `prune`. Pointers are JSON
 * pointers.
 */
export const definitionChange = z.object({
  kind: z.enum(DEFINITION_KINDS),
  name: z.string(),
  change: z.enum(['create', 'change', 'delete', 'unchanged', 'kept']),
  diff: z.array(z.object({ pointer: z.string(), old: json.nullable(), new: json.nullable() })),
})
/** One change of a plan. */
export type DefinitionChange = z.output<typeof definitionChange>

/** `digest` binds the content and the state that it was compared with: a plan made against an older state is refused. */
export const planView = z.object({
  digest,
  base: digest,
  changes: z.array(definitionChange),
  warnings: z.array(z.string()),
  missingBlobs: z.array(digest),
})
/** A plan: what `apply` would do. */
export type PlanView = z.output<typeof planView>
