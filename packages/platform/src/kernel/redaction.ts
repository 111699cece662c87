const STAR = 0x2a

/** Hides values in what others wrote. */
export interface Redactor {
  /** Bytes of the longest value; 0: it hides nothing. */
  readonly longestBytes: number
  /** As many bytes: a `*` for each of every occurrence, also of those that overlap. */
  hide(bytes: Buffer): Buffer
  hideText(text: string): string
  /** How many bytes at the end may be the beginning of an occurrence, which what comes next would make whole. */
  openEndBytes(bytes: Buffer): number
}

export const HIDES_NOTHING: Redactor = {
  longestBytes: 0,
  hide: (bytes) => bytes,
  hideText: (text) => text,
  openEndBytes: () => 0,
}

/** Of each beginning of the value the length of its longest proper beginning that is its end, too. @source Knuth, Morris, Pratt 1977 */
function bordersOf(value: Buffer): Uint32Array {
  const borders = new Uint32Array(value.length)
  for (let at = 1, length = 0; at < value.length; at++) {
    while (length > 0 && value[at] !== value[length]) length = borders[length - 1]!
    if (value[at] === value[length]) length++
    borders[at] = length
  }
  return borders
}

const NAMED_ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' }
const NOT_PRINTABLE = /[\\\n\r\t]|(?! )[\p{C}\p{Z}]/gu
const NOT_ASCII = /[\\\n\r\t]|[^ -~]/gu

const hex = (code: number, digits: number) => code.toString(16).padStart(digits, '0')

function pythonEscape(char: string): string {
  const code = char.codePointAt(0)!
  if (code < 0x100) return `\\x${hex(code, 2)}`
  return code < 0x10000 ? `\\u${hex(code, 4)}` : `\\U${hex(code, 8)}`
}

/** As `repr`, `ascii` and the `repr` of its bytes show it: in `print({"key": value})`, in the message of a `KeyError`. */
function pythonForms(value: string): string[] {
  const escaped = (text: string, what: RegExp) =>
    text.replace(what, (char) => NAMED_ESCAPES[char] ?? pythonEscape(char))
  const forms = [
    escaped(value, NOT_PRINTABLE),
    escaped(value, NOT_ASCII),
    escaped(Buffer.from(value).toString('latin1'), NOT_ASCII),
  ]
  // In single quotes, unless they alone are in it; JavaScript then takes a third kind, and escapes neither.
  return value.includes("'") && value.includes('"')
    ? [...forms, ...forms.map((form) => form.replaceAll("'", "\\'"))]
    : forms
}

/** As it is, as it stands in JSON, of JavaScript's kind and of Python's, which leaves nothing beyond ASCII, and as Python shows it. */
function formsOf(value: string): string[] {
  const quoted = JSON.stringify(value).slice(1, -1)
  const ascii = quoted.replace(/[^\x20-\x7e]/g, (unit) => `\\u${hex(unit.charCodeAt(0), 4)}`)
  return [value, quoted, ascii, ...pythonForms(value)]
}

/** Bytes of a value by which its beginning is looked for: so few that looking is linear, too, and enough to skip most of a text. */
const HEAD_BYTES = 16

interface Pattern {
  readonly value: Buffer
  readonly head: Buffer
  readonly borders: Uint32Array
}

export function patternOf(form: string): Pattern {
  const value = Buffer.from(form)
  return { value, head: value.subarray(0, HEAD_BYTES), borders: bordersOf(value) }
}

/**
 * The end of each occurrence, in order. Linear in `bytes`, whatever they and the value are: where nothing of the value has
 * begun, the system looks for its head; from there on, no byte is compared with more than two of the value on average.
 */
export function* endsOf(
  { value, head, borders }: Pattern,
  bytes: Pick<Buffer, 'length' | 'indexOf'> & { readonly [at: number]: number | undefined },
): Generator<number> {
  let length = 0
  for (let at = 0; at < bytes.length; at++) {
    if (length === 0) {
      at = bytes.indexOf(head, at)
      if (at === -1) return
    }
    while (length > 0 && bytes[at] !== value[length]) length = borders[length - 1]!
    if (bytes[at] === value[length]) length++
    if (length < value.length) continue
    yield at + 1
    length = borders[length - 1]!
  }
}

/** Values must not be empty. Each takes time in proportion to the bytes. What a value became by another encoding, and a part of it, is not found. */
export function openRedactor(values: Iterable<string>): Redactor {
  const patterns = [...new Set([...values].flatMap(formsOf))].map(patternOf)
  if (patterns.length === 0) return HIDES_NOTHING
  const hide = (bytes: Buffer): Buffer => {
    let hidden: Buffer | undefined
    for (const pattern of patterns) {
      let hiddenTo = 0
      for (const end of endsOf(pattern, bytes)) {
        hidden ??= Buffer.from(bytes)
        hidden.fill(STAR, Math.max(end - pattern.value.length, hiddenTo), end)
        hiddenTo = end
      }
    }
    return hidden ?? bytes
  }
  return {
    longestBytes: Math.max(...patterns.map(({ value }) => value.length)),
    hide,
    hideText: (text) => hide(Buffer.from(text)).toString('utf8'),
    openEndBytes: (bytes) =>
      Math.max(
        ...patterns.map(({ value, borders }) => {
          let length = 0
          for (const byte of bytes.subarray(Math.max(0, bytes.length - value.length + 1))) {
            while (length > 0 && byte !== value[length]) length = borders[length - 1]!
            if (byte === value[length]) length++
          }
          return length
        }),
      ),
  }
}
