import { z } from 'zod'
import { ordinal } from '../count.ts'
import { digest } from '../digest.ts'
import { json } from '../json.ts'
import { definitionName, described, fieldName } from './name.ts'
import { stepSecrets } from './step-secret.ts'

/** Name of a step, unique in its pipeline: a lower-case letter, then letters, digits, _ or -, at most 63 characters. */
export const stepKey = z
  .string()
  .regex(/^[a-z][a-z0-9_-]{0,62}$/, 'expected a lower-case letter, then letters, digits, _ or -, at most 63 characters')

/**
 * Where an input comes from: an output of a step, or a dataset (its newest passing version unless pinned). A version that
 * failed its expectations is refused, unless `allowFailed` says otherwise.
 */
export const stepInput = z.discriminatedUnion('from', [
  z
    .strictObject({
      from: z.literal('step'),
      step: stepKey,
      output: fieldName,
      allowFailed: z.boolean().optional(),
    })
    // `false` says what its absence does: one digest for both.
    .overwrite(({ allowFailed, ...input }) => (allowFailed ? { ...input, allowFailed } : input)),
  z.strictObject({
    from: z.literal('dataset'),
    dataset: definitionName,
    version: ordinal.optional(),
    allowFailed: z.boolean().default(false),
  }),
])
/** Where one input of a step comes from. */
export type StepInput = z.output<typeof stepInput>

/** A param that a run may set. Without a default every run must. */
export const pipelineParam = z.strictObject({
  type: z.enum(['int', 'float', 'text', 'boolean', 'json']),
  default: json.optional(),
})

/** `{"$param": "trees"}` anywhere in a step's params is replaced by the run's value. */
export const pipelineStep = z
  .strictObject({
    key: stepKey,
    /** `python`, `command`, `typescript`, or a kind that a domain contributes: `dataset-version`, `training-set`, `sql-transform`,
     * `materialize`, `register`. */
    kind: z.string().regex(/^[a-z][a-z-]{0,62}$/, 'expected a kind of step: lower-case letters and -'),
    /** Meaning depends on the kind. Of `python`: script, files (globs), lock, args. */
    params: z.record(z.string(), json).default({}),
    inputs: z.record(fieldName, stepInput).default({}),
    /** Steps that must succeed before, without passing data. */
    after: z.array(stepKey).default([]),
    /** Declared outputs by type; kinds contributed by domains bring their own. */
    outputs: z.record(fieldName, z.enum(['file', 'json', 'directory', 'onnx', 'dataset'])).default({}),
    resources: z
      .strictObject({ cpu: z.number().positive().default(1), memoryBytes: z.int().positive().optional() })
      .default({ cpu: 1 }),
    timeoutMs: z.int().positive().max(604_800_000).default(3_600_000),
    retries: z.int().min(0).max(20).default(0),
    cache: z.boolean().default(true),
    /** Of kinds that run the user's own code: by variable the secret that it holds when the step runs. Values are nowhere here. */
    secrets: stepSecrets.optional(),
  })
  // No secrets are said by no member: steps without any keep their digests.
  .overwrite(({ secrets, ...step }) => (secrets && Object.keys(secrets).length > 0 ? { ...step, secrets } : step))
/** One step of a pipeline, its defaults filled in. */
export type PipelineStep = z.output<typeof pipelineStep>

/** A relative path with `/`, without a way out. */
const bundlePath = z
  .string()
  .min(1)
  .max(1_024)
  .refine(
    (path) => !/[\\\p{Cc}]/u.test(path) && path.split('/').every((part) => !['', '.', '..'].includes(part)),
    'expected a relative path with /, without . and ..',
  )

/** Files of a step's code, by digest: `path` is relative to the project. `apply` uploads the blobs first. */
export const codeBundle = z.strictObject({
  digest,
  files: z
    .array(
      z.strictObject({
        path: bundlePath,
        digest,
        sizeBytes: z.int().nonnegative(),
        executable: z.boolean(),
      }),
    )
    .max(10_000),
})
/** The code of a step, by digest. */
export type CodeBundle = z.output<typeof codeBundle>

/** Steps and the order among them: a graph without cycles. */
export const pipelineDefinition = z.strictObject({
  kind: z.literal('pipeline'),
  name: definitionName,
  ...described,
  params: z.record(fieldName, pipelineParam).default({}),
  steps: z.array(pipelineStep).min(1).max(10_000),
})
/** The definition of a pipeline, its defaults filled in. */
export type PipelineDefinition = z.output<typeof pipelineDefinition>
