import { createHash } from 'node:crypto'
import { PlimsollError } from '../../kernel/errors.ts'

export type KeyType = 'text' | 'int32' | 'int64' | 'boolean' | 'bytes'
export type KeyValue = string | number | bigint | boolean | Uint8Array | null | undefined

const HASHED_FROM_BYTES = 500
const HASHED_TAG = 0xff
/** Before the parts of a key: no part has it. */
const HISTORY_TAG = 0x01
const INT_RANGE = { int32: [-(2n ** 31n), 2n ** 31n - 1n], int64: [-(2n ** 63n), 2n ** 63n - 1n] } as const

/** The generation's section for rows or for windows of a view: each has keys of its own. */
export const rowSection = (generation: number): number => generation * 2
export const windowSection = (generation: number): number => generation * 2 + 1
/** The view's generation that a section belongs to. */
export const generationOf = (section: number): number => Math.floor(section / 2)

function mismatch(type: KeyType, value: unknown): PlimsollError {
  return new PlimsollError(
    'invalid',
    'features.type_mismatch_key',
    `Cannot look up an entity: key ${String(value).slice(0, 80)} is ${typeof value}, expected ${type}`,
  )
}

function integerPart(type: 'int32' | 'int64', value: KeyValue): Buffer {
  if (typeof value !== 'bigint' && !(typeof value === 'number' && Number.isSafeInteger(value)))
    throw mismatch(type, value)
  const integer = BigInt(value)
  if (integer < INT_RANGE[type][0] || integer > INT_RANGE[type][1]) throw mismatch(type, value)
  const part = Buffer.allocUnsafe(9)
  part[0] = 0x10
  part.writeBigUInt64BE(BigInt.asUintN(64, integer) ^ (1n << 63n), 1)
  return part
}

function bytesPart(tag: number, bytes: Uint8Array): Buffer {
  const part = Buffer.allocUnsafe(5 + bytes.length)
  part[0] = tag
  part.writeUInt32BE(bytes.length, 1)
  part.set(bytes, 5)
  return part
}

function keyPart(type: KeyType, value: KeyValue): Buffer {
  switch (type) {
    case 'int32':
    case 'int64':
      return integerPart(type, value)
    case 'text':
      if (typeof value !== 'string' || !value.isWellFormed()) throw mismatch(type, value)
      return bytesPart(0x20, Buffer.from(value))
    case 'bytes':
      if (!(value instanceof Uint8Array)) throw mismatch(type, value)
      return bytesPart(0x21, value)
    case 'boolean':
      if (typeof value !== 'boolean') throw mismatch(type, value)
      return Buffer.of(0x30, value ? 1 : 0)
  }
}

/** A key, and beside it its parts where the key holds only their hash. */
export interface EncodedKey {
  readonly key: Buffer
  readonly full: Buffer | undefined
}

/**
 * Bytes of an entity's key in a section: typed, length-prefixed parts after the section's number, so that no two of
 * different entity, type or view are equal. Undefined when a part is null: null never equals null.
 *
 * @throws invalid features.type_mismatch_key; nothing is ever cast
 */
export function encodeKey(
  section: number,
  types: readonly KeyType[],
  values: readonly KeyValue[],
): EncodedKey | undefined {
  const parts: Buffer[] = [Buffer.allocUnsafe(4)]
  parts[0]!.writeUInt32BE(section)
  for (const [index, type] of types.entries()) {
    const value = values[index]
    if (value === null || value === undefined) return undefined
    parts.push(keyPart(type, value))
  }
  const full = Buffer.concat(parts)
  if (full.length <= HASHED_FROM_BYTES) return { key: full, full: undefined }
  return {
    key: Buffer.concat([full.subarray(0, 4), Buffer.of(HASHED_TAG), createHash('sha256').update(full).digest()]),
    full,
  }
}

/** The key beside that of a row under which its recent past is kept, in the same section. */
export function historyKey(key: Buffer): Buffer {
  return Buffer.concat([key.subarray(0, 4), Buffer.of(HISTORY_TAG), key.subarray(4)])
}

/** 24 bytes that sort as (event time, created time, sequence): signs flipped, big-endian. */
export function encodeVersion(eventUs: bigint, createdUs: bigint, sequence: bigint): Buffer {
  const bytes = Buffer.allocUnsafe(24)
  for (const [index, part] of [eventUs, createdUs, sequence].entries())
    bytes.writeBigUInt64BE(BigInt.asUintN(64, part) ^ (1n << 63n), index * 8)
  return bytes
}
