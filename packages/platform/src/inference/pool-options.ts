import type { Clock } from '../kernel/clock.ts'
import type { Logger } from '../kernel/log.ts'

/** Limits and knobs of a pool; every one has a default in `POOL_DEFAULTS`. */
export interface ModelPoolOptions {
  /** Shown in logs and statistics. */
  readonly name?: string
  /** Model hosts; each holds every model of the pool and runs one batch at a time. */
  readonly hosts?: number
  /** Rows of one batch, at most. */
  readonly maxBatchRows?: number
  /** Rows that may wait per model. */
  readonly queueRowsMax?: number
  /** Requests that may wait in the whole pool. */
  readonly queueRequestsMax?: number
  /** Deadline of a request that names none, from its arrival. */
  readonly defaultDeadlineMs?: number
  /** Resident memory of one host above which it is replaced once idle, and killed at one and a half times. */
  readonly hostMemoryMiB?: number
  /** One run may not take longer; the host is killed. */
  readonly runTimeoutMs?: number
  /** Loading and probing one model may not take longer. */
  readonly loadTimeoutMs?: number
  /** `nice` value of the hosts, 0 for real time, 19 for batch. */
  readonly niceness?: number
  /** Keep the runtime's memory arena (faster, keeps its high-water mark). */
  readonly hasArena?: boolean
  readonly clock?: Clock
  readonly log?: Logger
}
