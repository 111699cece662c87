import { z } from 'zod'
import { ordinal } from './count.ts'
import { digest } from './digest.ts'
import { loosely } from './loosely.ts'

/** Name, datatype (of the inference protocol) and shape of a tensor; -1 marks a dimension that varies. */
export const tensorSpec = z.strictObject({ name: z.string(), datatype: z.string(), shape: z.array(z.int()) })

/** An output of a model; a classifier's with the classes of its columns, in order, where the model was exported with them. */
export const outputSpec = tensorSpec.extend({
  /** Whole numbers as texts, too. */
  labels: z
    .array(
      z
        .string()
        .max(250)
        .refine((label) => !label.includes('\0'), 'No label may hold a NUL character'),
    )
    .min(1)
    .max(10_000)
    .optional(),
})

/**
 * The bound part of a passport: what the version is and what it was made of, by digest. Its canonical JSON gives the
 * passport's digest, which approvals bind; any change voids them. A null is a gap: registration accepts it, moving to an
 * environment does not.
 */
export const passportBound = z.strictObject({
  v: z.literal(1),
  artifact: z.strictObject({ digest: digest.nullable(), sizeBytes: z.int().nonnegative(), format: z.string() }),
  code: z
    .strictObject({
      source: z.string(),
      commit: z.string().nullable(),
      isDirty: z.boolean(),
      bundle: digest.nullable(),
    })
    .nullable(),
  data: z.array(
    z.strictObject({ role: z.enum(['training', 'source']), name: z.string(), digest, step: z.string().nullable() }),
  ),
  environment: z
    .strictObject({ lock: digest.nullable(), interpreter: z.string().nullable(), platform: z.string().nullable() })
    .nullable(),
  signature: z
    .strictObject({
      inputs: z.array(tensorSpec),
      outputs: z.array(outputSpec),
      maxBatchSize: z.int(),
      /** Names of the input's columns in order, as the model itself states them (ONNX metadata `columns`). */
      columns: z.array(z.string().max(130)).max(10_000).optional(),
    })
    .nullable(),
  /** Feature services that its training sets were made with, and the definition of each view, by digest. */
  features: z
    .array(
      z.strictObject({
        service: z.string(),
        digest,
        views: z.array(z.strictObject({ view: z.string(), version: digest })),
      }),
    )
    .optional(),
  metrics: z.record(z.string(), z.number()),
  origin: z.strictObject({
    pipeline: z.string().nullable(),
    pipelineDigest: digest.nullable(),
    run: z.string().nullable(),
    step: z.string().nullable(),
    trackedRun: z.string().nullable(),
  }),
  /** What the artifact was derived from; empty where it is what its step left. */
  parents: z.array(digest),
})
/** The bound part of a passport: what approvals bind. */
export type PassportBound = z.output<typeof passportBound>

/** What may change without voiding anything: purpose and people. */
export const passportNotes = z.object({
  description: z.string(),
  owner: z.string().nullable(),
  intendedUse: z.string().nullable(),
  outOfScope: z.string().nullable(),
  limitations: z.string().nullable(),
  licence: z.string().nullable(),
  riskClass: z.string().nullable(),
})
/** The notes of a passport; null where nothing is said. */
export type PassportNotes = z.output<typeof passportNotes>

/** What the notes of a model became, by digest: the how-manieth change it was, by whom and when. */
export const notesRevision = z.object({ revision: z.int(), digest, by: z.string(), at: z.iso.datetime() })

/** Something that an environment demands and the version lacks, with the command that fills it. */
export const passportGap = z.object({ field: z.string(), detail: z.string(), command: z.string() })
/** One thing that a version lacks for an environment. */
export type PassportGap = z.output<typeof passportGap>

/** Who approved which bytes and which passport for an environment, and by what proof. */
export const approvalView = z.object({
  by: z.string(),
  proof: z.string(),
  environment: z.string(),
  comment: z.string(),
  artifact: digest,
  passport: digest,
  isSelfApproved: z.boolean(),
  /** False once the version's passport or artifact is another one. */
  isValid: z.boolean(),
  at: z.iso.datetime(),
})
/** An approval, with whether it still binds the version. */
export type ApprovalView = z.output<typeof approvalView>

/** A model version in a list. `artifact` is null while nothing is stored for it; times are ISO text in UTC. */
export const modelVersionSummary = z.object({
  model: z.string(),
  version: z.int(),
  artifact: digest.nullable(),
  passport: digest,
  sizeBytes: z.int(),
  aliases: z.array(z.string()),
  run: z.string().nullable(),
  trackedRun: z.string().nullable(),
  metrics: z.record(z.string(), z.number()),
  createdBy: z.string(),
  createdAt: z.iso.datetime(),
})
/** A model version as lists show it. */
export type ModelVersionSummary = z.output<typeof modelVersionSummary>

/** Versions of a model, newest first; `next` is what is asked `before` for those that follow, null at the end. */
export const modelVersionList = z.object({
  versions: z.array(modelVersionSummary),
  next: z.int().nullable().default(null),
})

/** One event in the life of a version, newest first: from the audit rows. */
export const historyEntry = z.object({
  at: z.iso.datetime(),
  actor: z.string(),
  proof: z.string(),
  action: z.string(),
  subject: z.string(),
  data: z.json(),
})

/** A version with its passport, and the gaps and approvals for one environment. */
export const modelVersionView = modelVersionSummary.extend({
  description: z.string(),
  bound: loosely(passportBound),
  notes: passportNotes,
  /** Since when the notes are what they are; null where nothing was ever said, or before notes were kept. */
  notesRevision: notesRevision.nullable().default(null),
  gaps: z.array(passportGap),
  environment: z.string(),
  approvals: z.array(approvalView),
  history: z.array(historyEntry),
})
/** A model version as its page shows it. */
export type ModelVersionView = z.output<typeof modelVersionView>

/** A registered model in a list: its newest version, and the one that serves; null where there is none. */
export const modelSummary = z.object({
  name: z.string(),
  description: z.string(),
  versions: z.int(),
  latest: z.int().nullable(),
  champion: z.int().nullable(),
  updatedAt: z.iso.datetime(),
})
/** A registered model as lists show it. */
export type ModelSummary = z.output<typeof modelSummary>

/** Registered models, by name; `next` is what is asked `after` for those that follow, null at the end. */
export const modelList = z.object({ models: z.array(modelSummary), next: z.string().nullable().default(null) })

/** Approves a version for an environment, in the name of whoever sends it. */
export const approveBody = z.strictObject({
  environment: z.string().max(63).default('production'),
  comment: z.string().max(2_000).default(''),
})

/** An approval that was given, and what the version still lacks for its environment. */
export const givenApproval = z.object({
  approval: approvalView,
  /** False where the same person had approved it before: nothing was changed then. */
  isNew: z.boolean(),
  gaps: z.array(passportGap),
})

/**
 * Points an alias at a version. `expected` is the version that the caller believes it points at, null for none: it is
 * refused when it points at another. Without it, any is replaced.
 */
export const moveAliasBody = z.strictObject({ version: ordinal, expected: ordinal.nullable().optional() })

/** An alias of a model and the version that it points at. */
export const aliasView = z.object({ model: z.string(), alias: z.string(), version: z.int() })
