import type { PlimsollError } from '../kernel/errors.ts'
import type { ModelInterface, Tensor } from './tensor.ts'

export const MODEL_STATES = ['loading', 'ready', 'draining', 'failed'] as const
export type ModelState = (typeof MODEL_STATES)[number]

export interface PoolRequest {
  /** Any order; checked against the interface. */
  readonly inputs: readonly Tensor[]
  /** Names of the wanted outputs, in the wanted order; all of the model's when absent. */
  readonly outputs?: readonly string[]
  /** Instant on the monotonic clock (`clock.monotonicMs()`) after which the answer is worthless. */
  readonly deadlineMs?: number
  /** Takes a waiting request out of the queue. Asked for only when the request has to wait. */
  readonly signal?: () => AbortSignal
}

export interface PoolResult {
  readonly outputs: Tensor[]
  /** From arrival to the start of the run, of the first where it took several. */
  readonly queueUs: number
  /** The run itself, as the host measured it; the sum of all. */
  readonly inferUs: number
  /** Rows of the largest batch that the request was part of. */
  readonly batchRows: number
}

/** Counters never go down, also over a reload. Times are cumulative. `lastRunAtMs`, an instant, is neither. */
export interface ModelStats {
  readonly digest: string
  readonly state: ModelState
  readonly reason?: string
  /** Rows inferred. */
  readonly inferenceCount: number
  /** Runs. */
  readonly executionCount: number
  /** Requests; one that ran in pieces counts each of them. */
  readonly successCount: number
  readonly failureCount: number
  readonly rejectedCount: number
  readonly expiredCount: number
  readonly successUs: number
  readonly failureUs: number
  readonly queueUs: number
  readonly inferUs: number
  /** When the last run that succeeded ended, in Unix time; 0 before the first. */
  readonly lastRunAtMs: number
  readonly queuedRows: number
  readonly queuedRequests: number
  /** Estimated time of a run of one row, and of `maxBatchSize` rows. */
  readonly costMs: { readonly one: number; readonly full: number }
  /** Runs and their total time by batch rows. */
  readonly batches: readonly { readonly rows: number; readonly count: number; readonly inferUs: number }[]
}

export interface HostStats {
  readonly pid: number | undefined
  readonly state: 'idle' | 'busy' | 'loading' | 'down'
  readonly deaths: number
  readonly recycles: number
  /** Sent to it with runs: one, a batch or several. */
  readonly frames: number
  readonly busyUs: number
  readonly rssBytes: number
}

export interface PoolStats {
  readonly name: string
  readonly models: readonly ModelStats[]
  readonly hosts: readonly HostStats[]
}

export interface ModelPool {
  /**
   * Verifies the file against its digest, probes it in a process of its own, loads it into every host and warms it.
   * Concurrent and repeated loads of one digest coalesce.
   *
   * @throws not_found   inference.file_missing
   * @throws invalid     inference.digest_mismatch | inference.model_refused
   * @throws unavailable inference.load_timeout | inference.host_died
   */
  load(model: { digest: string; path: string; maxBatchRows?: number }): Promise<ModelInterface>
  /**
   * @throws not_found   inference.model_unknown
   * @throws unavailable inference.model_loading | inference.model_failed
   * @throws invalid     inference.signature_mismatch | inference.run_failed
   * @throws overloaded  inference.deadline_infeasible | inference.queue_full (details: retryAfterMs)
   * @throws deadline    inference.deadline_passed
   * @throws unavailable inference.host_died
   */
  infer(digest: string, request: PoolRequest): Promise<PoolResult>
  /**
   * What `infer` would refuse a request with now, whatever its rows are: cheap, before they are read. Undefined promises
   * nothing, and a refusal is in no counter.
   */
  findRefusal(digest: string, deadlineMs: number): PlimsollError | undefined
  /** Lets waiting requests finish, then frees the model in every host. Unknown digests are ignored. */
  unload(digest: string): Promise<void>
  /** Interface and state without a round trip. */
  describe(digest: string): { state: ModelState; interface?: ModelInterface; reason?: string } | undefined
  stats(): PoolStats
  /** Refuses new work, lets running work finish (at most five seconds), ends the hosts. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}
