import { open } from 'node:fs/promises'

/** The longest line that is read, of a header and of data alike. */
export const CSV_LINE_BYTES_MAX = 16 * 2 ** 20
const CHUNK_BYTES = 64 * 1024

/**
 * Fields of the first line of a CSV file that is not blank, without white space around them. Undefined when there is no
 * whole line within the longest that is read, or when its quotes do not close.
 */
export async function readCsvHeader(path: string, delimiter: string): Promise<string[] | undefined> {
  const file = await open(path)
  try {
    let bytes = Buffer.alloc(0)
    for (let size = CHUNK_BYTES; ; size *= 2) {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(size), 0, size, bytes.length)
      bytes = Buffer.concat([bytes, buffer.subarray(0, bytesRead)])
      const isWhole = bytesRead < size
      const fields = firstRecord(bytes.toString('utf8').replace(/^\uFEFF/, ''), delimiter, isWhole)
      if (fields || isWhole || bytes.length >= CSV_LINE_BYTES_MAX) return fields
    }
  } finally {
    await file.close()
  }
}

function firstRecord(text: string, delimiter: string, isWhole: boolean): string[] | undefined {
  const fields: string[] = []
  let field = ''
  let isQuoted = false
  for (let at = text.search(/[^\r\n]/); at >= 0 && at < text.length; at++) {
    const character = text[at]!
    if (character === '"') {
      // A doubled quote stands for one, and is no end.
      if (isQuoted && text[at + 1] === '"') field += text[at++]
      else isQuoted = !isQuoted
    } else if (isQuoted) field += character
    else if (character === delimiter) {
      fields.push(field.trim())
      field = ''
    } else if (character === '\n' || character === '\r') return [...fields, field.trim()]
    else field += character
  }
  return isWhole && !isQuoted && (field !== '' || fields.length > 0) ? [...fields, field.trim()] : undefined
}
