/** One value to store. `version` is compared as bytes: a record with a lower or equal version than the stored one is dropped. */
export interface OnlineRecord {
  readonly key: Uint8Array
  /** 24 bytes that sort as (event time, created time, sequence). */
  readonly version: Uint8Array
  readonly value: Uint8Array
}

/** Records that a store applies in one transaction, with the place of their writer. */
export interface OnlineBatch {
  /** Number of the generation that the records belong to; its four bytes, big-endian, begin their keys. */
  readonly generation: number
  /** Counts up with each writer that takes over a generation; a lower one than the stored one is refused. */
  readonly fence: number
  /** Stored in the same transaction as the records; never goes back. Microseconds. */
  readonly watermark: number
  readonly records: readonly OnlineRecord[]
}

/** How many records a batch wrote, and how many it dropped. */
export interface OnlineBatchResult {
  readonly applied: number
  /** Records whose version was not higher than the stored one. */
  readonly stale: number
}

/** What is known of a generation. */
export interface OnlineGeneration {
  readonly fence: number
  readonly watermark: number
}

/**
 * Bytes by key for serving. Keys, versions and values are made by the platform and mean nothing to a store.
 * A batch is applied whole or not at all.
 */
export interface OnlineStore {
  /** @throws conflict features.fence_lost · invalid features.bad_record */
  applyBatch(batch: OnlineBatch): Promise<OnlineBatchResult>
  /** Values in the order of the keys, undefined where there is none. */
  readBatch(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]>
  /** Stores on this host answer at once. The bytes are valid until the next call. */
  readNow?(key: Uint8Array): Uint8Array | undefined
  /** The state of a generation, or undefined before its first batch. */
  generation(generation: number): Promise<OnlineGeneration | undefined>
  /** The same at once, on this host. */
  generationNow?(generation: number): OnlineGeneration | undefined
  /** Generations that hold something, also those of which only a part was dropped. */
  generations(): Promise<number[]>
  /**
   * Removes up to `limit` records of a generation, and its state with the first of them; how many were removed, fewer
   * than `limit` when none is left. A generation that was written again since the first call is left as it is.
   */
  drop(generation: number, limit: number): Promise<number>
  /** Names the generation that serves `slot` from now on, in one transaction. */
  flip(slot: string, generation: number): Promise<void>
  current(slot: string): Promise<number | undefined>
  close(): Promise<void>
}
