const FORMAT = 2
const HEADER_BYTES = 24

/** The events of one entity that the longest window of a view can still need, in order of the time they were known. */
export interface WindowValue {
  /** Everything known later than this … */
  readonly fromUs: number
  /** … and up to this is here. */
  readonly untilUs: number
  readonly times: readonly number[]
  /** Per column one value per event; null is no value. */
  readonly columns: readonly (readonly (number | null)[])[]
}

const bitmapBytes = (count: number) => Math.ceil(count / 64) * 8

/** Format byte, column count, event count, two horizons, then times, then per column a null bitmap and float64 values. */
export function encodeWindow(value: WindowValue, full?: Buffer): Buffer {
  const count = value.times.length
  const columnBytes = bitmapBytes(count) + count * 8
  const bytes = Buffer.alloc(HEADER_BYTES + count * 8 + value.columns.length * columnBytes + (full?.length ?? 0))
  bytes[0] = FORMAT
  bytes.writeUInt16LE(value.columns.length, 2)
  bytes.writeUInt32LE(count, 4)
  bytes.writeDoubleLE(value.fromUs, 8)
  bytes.writeDoubleLE(value.untilUs, 16)
  for (const [index, time] of value.times.entries()) bytes.writeDoubleLE(time, HEADER_BYTES + index * 8)
  for (const [column, cells] of value.columns.entries()) {
    const start = HEADER_BYTES + count * 8 + column * columnBytes
    for (const [index, cell] of cells.entries()) {
      const at = start + (index >> 3)
      if (cell === null) bytes[at] = bytes[at]! | (1 << (index & 7))
      else bytes.writeDoubleLE(cell, start + bitmapBytes(count) + index * 8)
    }
  }
  full?.copy(bytes, bytes.length - full.length)
  return bytes
}

/** What one pass over a column's values in a window leaves. */
export interface WindowTotals {
  count: number
  sum: number
  /** What is subtracted from each value before its distance is taken: the digits that all have in common are not lost. */
  shift: number
  /** Of the values less the shift. */
  mean: number
  /** Sum of squared distances to the mean. */
  m2: number
  min: number
  max: number
}

/** Answers windows from an encoded value in place, without an object per event. */
export interface WindowReader {
  open(bytes: Uint8Array, full: Buffer | undefined): boolean
  readonly fromUs: number
  readonly untilUs: number
  /** First event known after `us`, by binary search. */
  after(us: number): number
  /** One value of one event. */
  isNull(column: number, event: number): boolean
  value(column: number, event: number): number
  total(column: number, first: number, end: number, into: WindowTotals): void
  /** Count and sum alone, at a third of the cost. */
  sum(column: number, first: number, end: number, into: WindowTotals): void
}

/** NaN is a value: it makes sums NaN, is the greatest of all, and never the least unless alone. */
function addValue(totals: WindowTotals, value: number): void {
  totals.count += 1
  totals.sum += value
  if (totals.count === 1) totals.shift = value
  const shifted = value - totals.shift
  const distance = shifted - totals.mean
  totals.mean += distance / totals.count
  totals.m2 += distance * (shifted - totals.mean)
  if (totals.count === 1) {
    totals.min = value
    totals.max = value
    return
  }
  if (value < totals.min || Number.isNaN(totals.min)) totals.min = value
  if (value > totals.max || Number.isNaN(value)) totals.max = value
}

export function createWindowReader(): WindowReader {
  let bytes: Uint8Array = new Uint8Array(0)
  let view = new DataView(bytes.buffer)
  let count = 0
  const columnAt = (column: number) => HEADER_BYTES + count * 8 + column * (bitmapBytes(count) + count * 8)
  return {
    open(opened, full) {
      bytes = opened
      view = new DataView(opened.buffer, opened.byteOffset, opened.byteLength)
      count = view.getUint32(4, true)
      const end = columnAt(view.getUint16(2, true))
      return opened[0] === FORMAT && (full === undefined || full.equals(opened.subarray(end)))
    },
    get fromUs() {
      return view.getFloat64(8, true)
    },
    get untilUs() {
      return view.getFloat64(16, true)
    },
    after(us) {
      let low = 0
      let high = count
      while (low < high) {
        const middle = (low + high) >> 1
        if (view.getFloat64(HEADER_BYTES + middle * 8, true) <= us) low = middle + 1
        else high = middle
      }
      return low
    },
    isNull: (column, event) => (bytes[columnAt(column) + (event >> 3)]! & (1 << (event & 7))) !== 0,
    value: (column, event) => view.getFloat64(columnAt(column) + bitmapBytes(count) + event * 8, true),
    sum(column, first, end, into) {
      const start = columnAt(column)
      const values = start + bitmapBytes(count)
      let present = 0
      let sum = 0
      for (let index = first; index < end; index += 1) {
        if ((bytes[start + (index >> 3)]! & (1 << (index & 7))) !== 0) continue
        present += 1
        sum += view.getFloat64(values + index * 8, true)
      }
      into.count = present
      into.sum = sum
    },
    total(column, first, end, into) {
      into.count = 0
      into.sum = 0
      into.shift = 0
      into.mean = 0
      into.m2 = 0
      const start = columnAt(column)
      const values = start + bitmapBytes(count)
      for (let index = first; index < end; index += 1) {
        if ((bytes[start + (index >> 3)]! & (1 << (index & 7))) !== 0) continue
        addValue(into, view.getFloat64(values + index * 8, true))
      }
    },
  }
}
