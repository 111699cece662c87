import type { QueryEngine } from '@plimsoll/sdk/seams'
import type { z } from 'zod'
import type { Json } from './canonical.ts'
import type { Context, Tx } from './db/context.ts'
import type { Digest } from './digest.ts'
import type { Logger } from './log.ts'

/** One stored output of a finished attempt. `type` says how to read it. */
export interface StepOutput {
  readonly name: string
  readonly type: OutputType
  readonly digest: Digest
  readonly sizeBytes: number
}

export const OUTPUT_TYPES = ['file', 'json', 'directory', 'onnx', 'dataset'] as const
/** `json` outputs are also kept inline; `dataset` is a dataset manifest (JSON) whose files are blobs or external files by digest. */
export type OutputType = (typeof OUTPUT_TYPES)[number]

/** What `command` receives, in a child process without a database. All paths are absolute. */
export interface StepCommand {
  readonly run: string
  readonly step: string
  readonly attempt: string
  /** What `resolve` returned. */
  readonly spec: Json
  readonly inputs: Readonly<Record<string, StepInputFiles>>
  /** Where each declared output must be written: a file, or a directory when the type is `directory`. */
  readonly outputs: Readonly<Record<string, string>>
  readonly workDir: string
  readonly engine: () => Promise<QueryEngine>
  readonly log: Logger
  readonly progress: (fraction: number, message: string) => void
  readonly signal: AbortSignal
}

export interface StepInputFiles {
  readonly type: OutputType
  readonly digest: Digest
  /** The file or directory itself; of a dataset, its manifest. */
  readonly path: string
  /** Data files of a dataset, or the one file. */
  readonly files: readonly string[]
}

/** What `commit` receives, inside the transaction that finishes the attempt. */
export interface StepResult {
  readonly run: string
  readonly step: string
  readonly attempt: string
  readonly spec: Json
  readonly inputs: Readonly<Record<string, StepOutput>>
  readonly outputs: Readonly<Record<string, StepOutput>>
  /** Content of each `json` output. */
  readonly json: Readonly<Record<string, Json>>
}

/**
 * A kind of step. Domains export theirs as `stepKinds`; the control plane and the step launcher collect them.
 *
 * - `resolve` runs in the control plane when the step's inputs are known. What it returns is part of the cache key, so it
 *   must name everything by digest (view definitions, manifests), and it must be quick.
 * - `command` does the heavy work in a child process without a database. Absent: there is none.
 * - `commit` runs inside the fenced transaction that finishes the attempt: short, database only.
 */
export interface StepKind {
  readonly kind: string
  readonly outputs: Readonly<Record<string, OutputType>>
  /** What the kind takes as params: judged at `plan` by the pipeline's defaults, and again with a run's values. */
  readonly params: z.ZodType
  /** False when a second run with equal inputs must still run `commit` (as `register` does). */
  readonly cacheable: boolean
  /** True when `commit` names what made the inputs: their making, and whether the commit is known, are then part of the cache key. */
  readonly bindsProvenance?: boolean
  resolve?(ctx: Context, step: { params: Json; inputs: Readonly<Record<string, StepOutput>> }): Promise<Json>
  command?(command: StepCommand): Promise<void>
  commit?(tx: Tx, result: StepResult): Promise<Json | undefined>
  /**
   * Takes what `commit` made, by what it returned, for one more run, as the commit of that run would. False when it is gone or
   * otherwise since: the step then runs though the cache knows it.
   */
  reuse?(ctx: Context, result: Json): Promise<boolean>
}
