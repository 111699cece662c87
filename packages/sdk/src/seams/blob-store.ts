/** Content-addressed bytes. Keys are `sha256:` digests; a stored blob never changes. */
export interface BlobStore {
  /**
   * Stores a stream and returns its digest. Nothing is visible before all bytes are durable and verified.
   * With `expected`, other content is refused and nothing is stored. Storing what exists is free.
   */
  put(
    content: AsyncIterable<Uint8Array> | Uint8Array,
    options?: { expected?: string },
  ): Promise<{ digest: string; sizeBytes: number }>
  /** Bytes from `start` (inclusive) to `end` (exclusive), verified when the whole blob is read. @throws not_found blob.missing · internal blob.corrupt */
  get(digest: string, range?: { start: number; end?: number }): AsyncIterable<Uint8Array>
  stat(digest: string): Promise<{ sizeBytes: number; storedAtMs: number } | undefined>
  /** True when it was there. */
  delete(digest: string): Promise<boolean>
  /** All digests, in no order. */
  list(): AsyncIterable<{ digest: string; sizeBytes: number; storedAtMs: number }>
  /** A path by which a local process may read the blob, where there is one. Never write to it. */
  localPath(digest: string): string | undefined
  close(): Promise<void>
}
