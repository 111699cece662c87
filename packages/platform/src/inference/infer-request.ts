import type { ModelInterface, Tensor } from './tensor.ts'

export interface RequestedOutput {
  readonly name: string
  readonly isBinary: boolean
  /** Top classes wanted instead of the tensor; 0 for the tensor itself. */
  readonly classification: number
}

/** A decoded and validated inference request. */
export interface InferRequest {
  /** The client's id, echoed unchanged; absent when it sent none. */
  readonly id?: string
  /** In the model's input order. */
  readonly inputs: readonly Tensor[]
  /** In the requested order; all of the model's, in its order, when none were named. */
  readonly outputs: readonly RequestedOutput[]
  readonly rows: number
  /** The `timeout` parameter. */
  readonly timeoutUs?: number
  /** 0 default, 1 highest. */
  readonly priority: number
  /** Request parameters as they came; never echoed. */
  readonly parameters: Readonly<Record<string, string | number | boolean>>
}

export interface DecodeInput {
  readonly model: ModelInterface
  /** Decompressed body. */
  readonly body: Uint8Array
  /** The request's `Inference-Header-Content-Length`, as sent; absent: the whole body is JSON; `0`: raw bytes of one tensor. */
  readonly headerLength?: string | undefined
}
