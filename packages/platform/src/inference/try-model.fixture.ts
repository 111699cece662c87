import { openModelPool } from './pool.ts'
import type { ModelPoolOptions } from './pool-options.ts'
import type { ModelInterface, Tensor } from './tensor.ts'

export interface TriedModel {
  readonly interface: ModelInterface
  /** Outputs of the samples; absent when none were given. */
  readonly outputs?: readonly Tensor[]
}

/**
 * Loads, probes and, with samples, runs a model once in hosts of its own: what a declared signature is checked against.
 * @throws as ModelPool.load and ModelPool.infer
 */
export async function tryModel(
  model: { digest: string; path: string },
  options: ModelPoolOptions & { samples?: readonly Tensor[] } = {},
): Promise<TriedModel> {
  const { samples, ...poolOptions } = options
  await using pool = await openModelPool({ name: 'try', ...poolOptions, hosts: 1 })
  const found = await pool.load(model)
  if (!samples) return { interface: found }
  const { outputs } = await pool.infer(model.digest, { inputs: samples })
  return { interface: found, outputs }
}
