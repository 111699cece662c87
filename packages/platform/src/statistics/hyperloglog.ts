/** Registers of a HyperLogLog sketch with 2^p of them: σ = 1.04 / √2^p, 1.63 % for p = 12. */
export interface HyperLogLog {
  readonly p: number
  readonly registers: Uint8Array
}

export function emptyHyperLogLog(p = 12): HyperLogLog {
  if (!Number.isInteger(p) || p < 4 || p > 18) throw new RangeError(`Precision ${p} is not between 4 and 18`)
  return { p, registers: new Uint8Array(2 ** p) }
}

/**
 * Adds a 64-bit hash: the low p bits choose the register, rho is the place of the lowest set bit of the rest, from 1.
 * The same in SQL over md5: `h & (2^p − 1)` and `bit_count(w xor (w − 1))` with `w = h >> p`.
 */
export function addHash(sketch: HyperLogLog, hash: bigint): void {
  const bucket = Number(hash & BigInt(sketch.registers.length - 1))
  const rho = rhoOf(BigInt.asUintN(64, hash) >> BigInt(sketch.p), 64 - sketch.p)
  if (rho > sketch.registers[bucket]!) sketch.registers[bucket] = rho
}

function rhoOf(rest: bigint, bits: number): number {
  if (rest === 0n) return bits + 1
  let place = 1
  for (let value = rest; (value & 1n) === 0n; value >>= 1n) place++
  return place
}

/** The sketch of both streams together. @throws RangeError when the precisions differ */
export function mergeHyperLogLog(a: HyperLogLog, b: HyperLogLog): HyperLogLog {
  if (a.p !== b.p) throw new RangeError(`Precisions ${a.p} and ${b.p} differ`)
  return { p: a.p, registers: a.registers.map((register, index) => Math.max(register, b.registers[index]!)) }
}

/**
 * Estimated number of distinct hashes: linear counting while registers are empty and the estimate is small.
 * @source Flajolet, Fusy, Gandouet, Meunier: HyperLogLog, AofA 2007, figure 3. 64-bit hashes need no large-range correction
 */
export function estimateDistinct(sketch: HyperLogLog): number {
  const m = sketch.registers.length
  let sum = 0
  let zeros = 0
  for (const register of sketch.registers) {
    sum += 2 ** -register
    if (register === 0) zeros++
  }
  const alpha = m === 16 ? 0.673 : m === 32 ? 0.697 : m === 64 ? 0.709 : 0.7213 / (1 + 1.079 / m)
  const raw = (alpha * m * m) / sum
  return raw <= 2.5 * m && zeros > 0 ? m * Math.log(m / zeros) : raw
}
