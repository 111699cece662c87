import type { ModelPool } from './pool-stats.ts'
import type { Tensor } from './tensor.ts'

export const fp32 = (shape: number[], data: number[]): Tensor => ({
  name: 'x',
  datatype: 'FP32',
  shape,
  data: Float32Array.from(data),
})
export const int64 = (...data: number[]): Tensor => ({
  name: 'x',
  datatype: 'INT64',
  shape: [data.length],
  data: BigInt64Array.from(data, BigInt),
})
export const modelStats = (pool: ModelPool, digest: string) =>
  pool.stats().models.find((model) => model.digest === digest)
/** Trips that keep a host busy for about `ms`; measured, since machines differ. */
export async function tripsFor(pool: ModelPool, digest: string, ms: number): Promise<number> {
  const { inferUs } = await pool.infer(digest, { inputs: [int64(20_000)] })
  return Math.ceil((20_000 * ms * 1000) / inferUs)
}
