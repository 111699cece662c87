/** Datatypes of the Open Inference Protocol that a runtime may take. */
export type RuntimeDatatype =
  | 'BOOL'
  | 'UINT8'
  | 'UINT16'
  | 'UINT32'
  | 'UINT64'
  | 'INT8'
  | 'INT16'
  | 'INT32'
  | 'INT64'
  | 'FP16'
  | 'FP32'
  | 'FP64'
  | 'BYTES'

/**
 * Elements of a tensor by datatype, row-major: `string[]` for BYTES, `Uint16Array` also for FP16, `Uint8Array` also for
 * BOOL.
 */
export type RuntimeData =
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | Int8Array
  | Int16Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array
  | string[]

/** Name, datatype and shape of an input or output; −1 marks a dimension that varies. */
export interface RuntimeSpec {
  readonly name: string
  readonly datatype: RuntimeDatatype
  readonly shape: readonly number[]
}

/** Row-major elements; FP16 as raw 16 bits, BOOL as bytes of 0 and 1, BYTES as text. */
export interface RuntimeTensor {
  readonly name: string
  readonly datatype: RuntimeDatatype
  readonly shape: readonly number[]
  readonly data: RuntimeData
}

/** How well it is known that a backend runs the very bytes of a digest. */
export type PlacementLevel = 'placed' | 'attested' | 'claimed'

/** What a runtime can do; what it cannot do it refuses with the error that the contract names. */
export interface RuntimeCapabilities {
  readonly formats: readonly string[]
  readonly datatypes: readonly RuntimeDatatype[]
  /** `placed`: we loaded the bytes ourselves; `attested`: the backend signs it; `claimed`: it only says so. */
  readonly placement: PlacementLevel
}

/** A model held by a runtime. Not shared between threads; runs are serial. */
export interface ModelSession {
  readonly digest: string
  readonly placement: PlacementLevel
  readonly inputs: readonly RuntimeSpec[]
  readonly outputs: readonly RuntimeSpec[]
  /**
   * Runs once and returns the named outputs in the asked order.
   * Rejects when an input is missing, unknown or of another datatype or rank; the session stays usable.
   */
  run(inputs: readonly RuntimeTensor[], outputs: readonly string[]): Promise<RuntimeTensor[]>
  /** The same at once, where a run blocks in any case: throws what `run` rejects with. */
  runNow?(inputs: readonly RuntimeTensor[], outputs: readonly string[]): RuntimeTensor[]
  /** Frees the memory; closing twice is free, running afterwards rejects. */
  close(): Promise<void>
}

/** Loads models and runs them. The caller has verified that `bytes` have `digest`. */
export interface ModelRuntime {
  readonly name: string
  readonly version: string
  readonly capabilities: RuntimeCapabilities
  /** Rejects with a reason that names what the runtime cannot load; nothing stays allocated then. */
  load(model: { digest: string; bytes: Uint8Array }): Promise<ModelSession>
  /** Closes every session; twice is free. */
  close(): Promise<void>
}
