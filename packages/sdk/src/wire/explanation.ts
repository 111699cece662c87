import { z } from 'zod'

/** What was found when a link's bytes were hashed again. `placed`: named by digest, bytes not here to be hashed. */
export const LINK_CHECKS = ['verified', 'altered', 'missing', 'recorded'] as const
export type LinkCheck = (typeof LINK_CHECKS)[number]

/** One link of the spine, from the prediction back to the data. */
export const spineLink = z.strictObject({
  kind: z.enum([
    'prediction',
    'route',
    'release',
    'model-version',
    'artifact',
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
export type SpineLink = z.output<typeof spineLink>

export const explanation = z.strictObject({ prediction: z.string(), isIntact: z.boolean(), links: z.array(spineLink) })
export type Explanation = z.output<typeof explanation>
