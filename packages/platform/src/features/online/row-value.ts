const FORMAT = 1
const DELETED = 1
const HEADER_BYTES = 24

/** The newest row of an entity in a view: its times, and one number or null per slot. */
export interface RowValue {
  readonly eventUs: number
  /** When it could be known; before that it is invisible. */
  readonly knownUs: number
  readonly isDeleted: boolean
  readonly slots: readonly (number | null)[]
}

const bitmapBytes = (count: number) => Math.ceil(count / 64) * 8

/**
 * Format byte, flags, slot count, two times, null bitmap, one float64 per slot, then the whole key where it was hashed.
 * Times are whole microseconds in float64: exact to the year 2255.
 */
export function encodeRow(row: RowValue, full?: Buffer): Buffer {
  const count = row.slots.length
  const bytes = Buffer.alloc(HEADER_BYTES + bitmapBytes(count) + count * 8 + (full?.length ?? 0))
  bytes[0] = FORMAT
  bytes[1] = row.isDeleted ? DELETED : 0
  bytes.writeUInt16LE(count, 2)
  bytes.writeDoubleLE(row.eventUs, 8)
  bytes.writeDoubleLE(row.knownUs, 16)
  for (const [slot, value] of row.slots.entries()) {
    const at = HEADER_BYTES + (slot >> 3)
    if (value === null) bytes[at] = bytes[at]! | (1 << (slot & 7))
    else bytes.writeDoubleLE(value, HEADER_BYTES + bitmapBytes(count) + slot * 8)
  }
  full?.copy(bytes, bytes.length - full.length)
  return bytes
}

/** Reads single fields of an encoded row in place. */
export interface RowReader {
  open(bytes: Uint8Array, full: Buffer | undefined): boolean
  readonly eventUs: number
  readonly knownUs: number
  readonly isDeleted: boolean
  isNull(slot: number): boolean
  value(slot: number): number
}

export function createRowReader(): RowReader {
  let bytes: Uint8Array = new Uint8Array(0)
  let view = new DataView(bytes.buffer)
  let values = 0
  let count = 0
  return {
    open(opened, full) {
      bytes = opened
      view = new DataView(opened.buffer, opened.byteOffset, opened.byteLength)
      count = view.getUint16(2, true)
      values = HEADER_BYTES + bitmapBytes(count)
      return opened[0] === FORMAT && (full === undefined || full.equals(opened.subarray(values + count * 8)))
    },
    get eventUs() {
      return view.getFloat64(8, true)
    },
    get knownUs() {
      return view.getFloat64(16, true)
    },
    get isDeleted() {
      return (bytes[1]! & DELETED) !== 0
    },
    isNull: (slot) => slot >= count || (bytes[HEADER_BYTES + (slot >> 3)]! & (1 << (slot & 7))) !== 0,
    value: (slot) => view.getFloat64(values + slot * 8, true),
  }
}
