import type { Digest } from '../kernel/digest.ts'
import type { TensorSpec } from './tensor.ts'

/** What the bytes of an ONNX file say, read without running anything. */
export interface OnnxReport {
  readonly digest: Digest
  readonly sizeBytes: number
  readonly irVersion: number
  readonly producer: { readonly name: string; readonly version: string }
  /** Imported operator sets; the default domain is `ai.onnx`. */
  readonly opsets: readonly { readonly domain: string; readonly version: number }[]
  /** Inputs that a caller must give (initialisers with an input entry are left out); symbolic dimensions are −1. */
  readonly inputs: readonly TensorSpec[]
  /** Tensor outputs; those that `zipMap` would strip appear as the tensors that stay. */
  readonly outputs: readonly TensorSpec[]
  readonly nodes: number
  readonly initializers: number
  readonly initializerBytes: number
  /** Levels of nested graphs; 1 when no node carries one. */
  readonly depth: number
  readonly operators: Readonly<Record<string, number>>
  /** A trailing ZipMap: `stripZipMap` must run before the model can serve. */
  readonly zipMap?: { readonly output: string; readonly tensor: string; readonly labels: readonly string[] }
  readonly metadata: Readonly<Record<string, string>>
}
