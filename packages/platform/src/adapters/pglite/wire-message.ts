/** Messages to a PostgreSQL backend. @source PostgreSQL documentation, "Message Formats" */
const INT32_BYTES = 4
const NULL_LENGTH = -1

/** Texts end in a zero byte; numbers are 16 bits; bytes go as they are. */
function message(type: string, ...parts: readonly (string | number | Buffer)[]): Buffer {
  let size = INT32_BYTES
  for (const part of parts)
    size += typeof part === 'number' ? 2 : typeof part === 'string' ? Buffer.byteLength(part) + 1 : part.length
  const bytes = Buffer.allocUnsafe(1 + size)
  let offset = bytes.write(type, 'latin1')
  offset = bytes.writeInt32BE(size, offset)
  for (const part of parts) {
    if (typeof part === 'number') offset = bytes.writeUInt16BE(part, offset)
    else if (typeof part === 'string') offset = bytes.writeUInt8(0, offset + bytes.write(part, offset))
    else offset += part.copy(bytes, offset)
  }
  return bytes
}

function boundTexts(values: readonly (string | null)[]): Buffer {
  let size = 0
  for (const value of values) size += INT32_BYTES + (value === null ? 0 : Buffer.byteLength(value))
  const bytes = Buffer.allocUnsafe(size)
  let offset = 0
  for (const value of values) {
    const start = offset + INT32_BYTES
    const length = value === null ? NULL_LENGTH : bytes.write(value, start)
    bytes.writeInt32BE(length, offset)
    offset = start + Math.max(0, length)
  }
  return bytes
}

const A_STATEMENT = Buffer.from('S')
/** Ends a transaction of its own that no `begin` opened, or the fault in one. */
export const SYNC: Buffer = message('S')
const EXECUTE_ALL = message('E', '', Buffer.alloc(INT32_BYTES))

/** Parses a statement under a name, and asks for the types of its parameters and columns. */
export function prepareMessages(name: string, sql: string): Buffer {
  return Buffer.concat([message('P', name, sql, 0), message('D', A_STATEMENT, name), SYNC])
}

/** Runs a prepared statement, up to the next `SYNC`; parameters and columns go as text. */
export function runMessages(name: string, values: readonly (string | null)[]): Buffer {
  return Buffer.concat([message('B', '', name, 0, values.length, boundTexts(values), 0), EXECUTE_ALL])
}

/** Forgets a prepared statement. */
export function closeMessages(name: string): Buffer {
  return Buffer.concat([message('C', A_STATEMENT, name), SYNC])
}

/** A statement without parameters, by the simple protocol. */
export function simpleMessage(sql: string): Buffer {
  return message('Q', sql)
}
