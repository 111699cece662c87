import { z } from 'zod'

const keyType = z.enum(['text', 'int32', 'int64', 'boolean', 'bytes'])

/** What the online store must be asked for one feature service. Travels in the signed snapshot, so that a gateway needs nothing else. */
export const servingSpecSchema = z.strictObject({
  v: z.literal(1),
  service: z.string(),
  /** Digest of the service's meaning. */
  digest: z.string(),
  names: z.array(z.string()).max(10_000),
  views: z
    .array(
      z.strictObject({
        view: z.string(),
        viewVersion: z.string(),
        generation: z.int().positive(),
        keys: z
          .array(z.strictObject({ input: z.string(), type: keyType }))
          .min(1)
          .max(8),
        ttlUs: z.int().positive().nullable(),
        /** Column features: place in the answer, and slot in the stored row. */
        columns: z.array(z.strictObject({ at: z.int().nonnegative(), slot: z.int().nonnegative() })),
        /** Aggregates: place in the answer, function, place of the column among the stored ones (−1: rows), length. */
        windows: z.array(
          z.strictObject({
            at: z.int().nonnegative(),
            function: z.enum(['count', 'sum', 'mean', 'min', 'max', 'std']),
            column: z.int().min(-1),
            windowUs: z.int().positive(),
          }),
        ),
      }),
    )
    .max(100),
})
export type ServingSpec = z.output<typeof servingSpecSchema>
