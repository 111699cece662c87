import { z } from 'zod'
import { wholeText } from './count.ts'

/** Which part of the audit: rows before a sequence number, or of one subject. */
export const auditQuery = z.strictObject({
  before: z
    .string()
    .regex(/^\d{1,18}$/)
    .transform(BigInt)
    .optional(),
  subject: z.string().min(1).max(512).optional(),
  limit: wholeText({ min: 1, max: 500 }).default(100),
})

/** What was done, by whom, to what, and how they showed who they are. */
export const auditPage = z.object({
  entries: z.array(
    z.object({
      seq: z.string(),
      at: z.iso.datetime(),
      actor: z.string(),
      proof: z.string(),
      action: z.string(),
      subject: z.string(),
      data: z.unknown(),
    }),
  ),
})

/** Where the record is broken first, and what was found there. */
export const ledgerFault = z.object({
  position: z.string().nullable(),
  where: z.enum(['database', 'journal', 'audit']),
  reason: z.string(),
  row: z.object({ seq: z.string(), kind: z.string(), subject: z.string(), at: z.string() }).optional(),
})
/** The first fault of the record. */
export type LedgerFault = z.output<typeof ledgerFault>

/** Whether the record is whole, and how many rows were looked at. */
export const ledgerReport = z.object({
  ok: z.boolean(),
  verified: z.number(),
  unjournaled: z.number(),
  pending: z.number(),
  isJournalTorn: z.boolean(),
  head: z.string(),
  broken: ledgerFault.optional(),
})
/** What a verification found. */
export type LedgerReport = z.output<typeof ledgerReport>

/** Why the record has to be put back; goes into the audit. */
export const restoreBody = z.strictObject({ reason: z.string().min(1).max(1024) })

/** How many of the records were written again, where what stood there is kept, and what does not fit still. */
export const ledgerRestored = z.object({
  restored: z.number(),
  records: z.number(),
  kept: z.string().nullable(),
  broken: ledgerFault.optional(),
})
/** What a repair or rebuild did. */
export type LedgerRestored = z.output<typeof ledgerRestored>
