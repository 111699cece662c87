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
  const marks = new RegExp(`["\\r\\n${RegExp.escape(delimiter)}]`, 'g')
  const fields: string[] = []
  let field = ''
  let isQuoted = false
  let from = /^[\r\n]*/.exec(text)![0].length // it matches every text
  marks.lastIndex = from
  for (let found = marks.exec(text); found; found = marks.exec(text)) {
    const [mark] = found
    field += text.slice(from, found.index)
    from = marks.lastIndex
    if (mark === '"' && isQuoted && text[from] === '"') {
      // A doubled quote stands for one, and is no end.
      field += mark
      marks.lastIndex = ++from
    } else if (mark === '"') isQuoted = !isQuoted
    else if (isQuoted) field += mark
    else if (mark === delimiter) {
      fields.push(field.trim())
      field = ''
    } else return [...fields, field.trim()]
  }
  field += text.slice(from)
  return isWhole && !isQuoted && (field !== '' || fields.length > 0) ? [...fields, field.trim()] : undefined
}
