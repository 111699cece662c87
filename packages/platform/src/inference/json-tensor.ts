import { allocateData, type Datatype, type TensorData } from './tensor.ts'

/** A fault in a tensor's JSON data, to be reported with its pointer. */
export class TensorFault extends Error {}

const INTEGER_RANGE: Partial<Record<Datatype, readonly [number, number]>> = {
  UINT8: [0, 255],
  UINT16: [0, 65_535],
  UINT32: [0, 4_294_967_295],
  INT8: [-128, 127],
  INT16: [-32_768, 32_767],
  INT32: [-2_147_483_648, 2_147_483_647],
}

/** Why the runtime cannot carry a text whole, or undefined when it can. It ends a text at U+0000, and says nothing. */
export function textFault(text: string): string | undefined {
  if (!text.isWellFormed()) return 'with a lone surrogate'
  return text.includes('\0') ? 'with the character U+0000' : undefined
}

const digitsOfLong = (_key: string, value: unknown) => (typeof value === 'bigint' ? String(value) : value)

/** A value of a client's JSON, for a message. Long integers are bigint, which JSON.stringify does not write. */
export const shown = (value: unknown): string =>
  typeof value === 'bigint' ? String(value) : (JSON.stringify(value, digitsOfLong) ?? String(value)).slice(0, 60)

/** Flattens nested lists in row-major order; lists must have exactly the dims of `shape`. Flat lists pass as they are. */
export function flattenData(data: unknown, shape: readonly number[], count: number): unknown[] {
  if (!Array.isArray(data)) {
    if (shape.length === 0) return [data]
    throw new TensorFault('data is not a list')
  }
  if (!data.some(Array.isArray)) {
    if (data.length !== count) throw new TensorFault(`has ${data.length} elements, its shape [${shape}] needs ${count}`)
    return data
  }
  const flat: unknown[] = []
  const walk = (value: unknown, axis: number) => {
    if (axis === shape.length) {
      if (Array.isArray(value)) throw new TensorFault(`is nested deeper than its shape [${shape}]`)
      flat.push(value)
      return
    }
    if (!Array.isArray(value) || value.length !== shape[axis]) {
      const found = Array.isArray(value) ? `${value.length} elements` : 'a single value'
      throw new TensorFault(`is ragged: ${found} where its shape [${shape}] has ${shape[axis]}`)
    }
    for (const item of value) walk(item, axis + 1)
  }
  walk(data, 0)
  return flat
}

/** @throws TensorFault naming the first value that the datatype cannot hold */
export function convertData(datatype: Datatype, values: readonly unknown[]): TensorData {
  switch (datatype) {
    case 'FP16':
      throw new TensorFault('FP16 cannot be sent as JSON, send it as binary data')
    case 'BYTES':
      return values.map((value) => {
        if (typeof value !== 'string') throw new TensorFault(`holds ${shown(value)}, BYTES takes strings`)
        const fault = textFault(value)
        if (fault !== undefined) throw new TensorFault(`holds a string ${fault}`)
        return value
      })
    case 'INT64':
    case 'UINT64':
      return convertLong(datatype, values)
    case 'FP32':
    case 'FP64':
      return convertFloat(datatype, values)
    default:
      return convertInteger(datatype, values)
  }
}

function convertFloat(datatype: 'FP32' | 'FP64', values: readonly unknown[]): TensorData {
  const data = datatype === 'FP32' ? new Float32Array(values.length) : new Float64Array(values.length)
  for (let index = 0; index < values.length; index++) {
    const value = values[index]
    if (value === null) data[index] = Number.NaN
    else if (typeof value === 'number' || typeof value === 'bigint') {
      const number = Number(value)
      data[index] = number
      // A client may mean Infinity; a number that becomes it is another.
      if (!Number.isFinite(data[index]) && (Number.isFinite(number) || typeof value === 'bigint'))
        throw new TensorFault(`holds ${shown(value)}, which ${datatype} cannot hold`)
    } else throw new TensorFault(`holds ${shown(value)}, ${datatype} takes numbers`)
  }
  return data
}

function convertInteger(datatype: Datatype, values: readonly unknown[]): TensorData {
  const data = allocateData(datatype, values.length) as Int32Array // BOOL and the narrow integers: number elements
  const [least, most] = INTEGER_RANGE[datatype] ?? [0, 1]
  for (let index = 0; index < values.length; index++) {
    const given = values[index]
    const value = datatype === 'BOOL' && typeof given === 'boolean' ? Number(given) : given
    if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most) {
      const takes = datatype === 'BOOL' ? 'true and false' : `integers from ${least} to ${most}`
      throw new TensorFault(`holds ${shown(given)}, ${datatype} takes ${takes}`)
    }
    data[index] = value
  }
  return data
}

function convertLong(datatype: 'INT64' | 'UINT64', values: readonly unknown[]): TensorData {
  const isSigned = datatype === 'INT64'
  const data = isSigned ? new BigInt64Array(values.length) : new BigUint64Array(values.length)
  const least = isSigned ? -(2n ** 63n) : 0n
  const most = isSigned ? 2n ** 63n - 1n : 2n ** 64n - 1n
  for (let index = 0; index < values.length; index++) {
    const given = values[index]
    let value: bigint | undefined
    if (typeof given === 'bigint') value = given
    else if (typeof given === 'number' && Number.isSafeInteger(given)) value = BigInt(given)
    else if (typeof given === 'string' && /^-?\d{1,20}$/.test(given)) value = BigInt(given)
    if (value === undefined || value < least || value > most)
      throw new TensorFault(`holds ${shown(given)}, ${datatype} takes integers from ${least} to ${most}`)
    data[index] = value
  }
  return data
}
