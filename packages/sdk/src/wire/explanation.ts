import { z } from 'zod'

/** What was found when a link's bytes were hashed again. `recorded`: a row says it, and there are no bytes here to hash. */
export const LINK_CHECKS = ['verified', 'altered', 'missing', 'recorded'] as const
/** One of `LINK_CHECKS`. */
export type LinkCheck = (typeof LINK_CHECKS)[number]

/** One link of the spine, from the prediction back to the data. */
export const spineLink = z.object({
  kind: z.enum([
    'prediction',
    'route',
    'release',
    'model-version',
    'artifact',
    'parent',
    'run',
    'training-data',
    'source-data',
    'feature-service',
    'feature-view',
    'environment',
    'commit',
  ]),
  name: z.string(),
  digest: z.string().nullable(),
  check: z.enum(LINK_CHECKS),
  detail: z.record(z.string(), z.json()),
  /** What is wrong, when the check is `altered` or `missing`. */
  problem: z.string().nullable(),
})
/** One link of the spine, checked. */
export type SpineLink = z.output<typeof spineLink>

/** A prediction walked back to commit and data. Intact: no link is altered or missing. */
export const explanation = z.object({ prediction: z.string(), isIntact: z.boolean(), links: z.array(spineLink) })
/** The links of one prediction, from the route back to the data. */
export type Explanation = z.output<typeof explanation>
