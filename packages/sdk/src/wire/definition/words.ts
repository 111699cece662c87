import type { z } from 'zod'

const SHOWN_MAX = 80
const FAULT_MAX = 240
/** Together: what shows a refusal may cut it after 500 characters. */
const FAULTS_MAX = 380

const WORDS: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a record (members by name)',
  record: 'a record (members by name)',
}

function cut(text: string, max: number): string {
  return text.length > max ? `${text.slice(0, max - 1)}…` : text
}

/** A value as a message shows it: short, on one line. */
export function shownValue(value: unknown): string {
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'number') return String(value) // JSON has no NaN
  try {
    return cut(JSON.stringify(value) ?? String(value), SHOWN_MAX)
  } catch {
    return `a ${typeof value}`
  }
}

/** Names as a message lists them: the first ones, and how many more there are. */
export function listedNames(names: readonly string[], max = 8): string {
  const more = names.length - max
  return more > 0 ? `${names.slice(0, max).join(', ')} and ${more} more` : names.join(', ')
}

/** What to choose from, in the middle of a sentence; undefined where there is nothing. */
export function choiceText(names: readonly string[]): string | undefined {
  if (names.length === 0) return undefined
  return `${names.length === 1 ? 'there is only' : 'there are'} ${listedNames(names)}`
}

/** The same as a sentence of its own. */
export function thereAre(names: readonly string[]): string | undefined {
  const choice = choiceText(names)
  return choice && `T${choice.slice(1)}`
}

function atLeast({ origin, minimum, inclusive }: z.core.$ZodRawIssue<z.core.$ZodIssueTooSmall>): string {
  if (origin === 'array') return minimum === 1 ? 'expected a list that is not empty' : `expected ${minimum} or more`
  if (origin === 'string')
    return minimum === 1 ? 'expected a text that is not empty' : `expected ${minimum} characters or more`
  return `expected a number ${inclusive === false ? 'above' : 'of at least'} ${minimum}`
}

function atMost({ origin, maximum, inclusive }: z.core.$ZodRawIssue<z.core.$ZodIssueTooBig>): string {
  if (origin === 'array') return `expected ${maximum} at most`
  if (origin === 'string') return `expected ${maximum} characters at most`
  return `expected a number ${inclusive === false ? 'below' : 'of at most'} ${maximum}`
}

const FORMS: Readonly<Record<string, string>> = {
  url: 'an address such as https://host/path',
  datetime: 'an instant such as 2001-01-01T00:00:00Z',
}

function formed({ format, pattern }: z.core.$ZodRawIssue<z.core.$ZodIssueInvalidStringFormat>): string {
  const fit = pattern === undefined ? `a text of the form ${format}` : `a text that fits ${pattern}`
  return `expected ${FORMS[format] ?? fit}`
}

function oneOf(values: readonly unknown[]): string {
  return values.length === 1 ? `expected ${shownValue(values[0])}` : `expected one of ${values.map(String).join(', ')}`
}

/** What zod would say of an input, in words of one who wrote it. For the option `error` of a parse. */
export function inWords(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case 'invalid_type':
      return `expected ${WORDS[issue.expected] ?? issue.expected}`
    case 'invalid_value':
      return oneOf(issue.values)
    case 'invalid_key':
      return issue.issues[0]?.message
    case 'invalid_union': {
      const { options, note } = issue as { options?: unknown; note?: unknown } // of a discriminated union
      return note === 'No matching discriminator' && Array.isArray(options) ? oneOf(options) : 'expected another value'
    }
    case 'too_small':
      return atLeast(issue)
    case 'too_big':
      return atMost(issue)
    case 'invalid_format':
      return formed(issue as z.core.$ZodRawIssue<z.core.$ZodIssueInvalidStringFormat>) // of all formats it has the members
    case 'unrecognized_keys': {
      const { shape } = (issue.inst as { _zod?: { def: { shape?: object } } } | undefined)?._zod?.def ?? {} // of an object
      const known = shape === undefined ? '' : `: it takes ${Object.keys(shape).join(', ') || 'none'}`
      return `takes no ${issue.keys.map((key) => `"${key}"`).join(', ')}${known}`
    }
    default:
      return undefined
  }
}

/** How definitions, settings and requests are parsed: their writer reads the faults. */
export const IN_WORDS: z.core.ParseContext<z.core.$ZodIssue> = { error: inWords, reportInput: true }

/** What is wrong, with what was found. */
export function faultText({ code, message, input, ...rest }: z.core.$ZodIssue): string {
  const isSaid = code === 'custom' || !/^(?:expected|must) /.test(message)
  const { discriminator } = rest as { discriminator?: string } // its place is that of the member, its input the whole
  const found = discriminator === undefined ? input : (input as Record<string, unknown> | undefined)?.[discriminator]
  if (isSaid) return message
  return found === undefined ? `is missing: ${message}` : `${message}, found ${shownValue(found)}`
}

/** Faults in one line: as many whole ones as there is room for, and how many more there are. */
export function joinFaults(faults: readonly string[]): string {
  let joined = cut(faults[0] ?? '', FAULT_MAX)
  for (const [index, fault] of faults.slice(1).entries()) {
    const next = `${joined}; ${cut(fault, FAULT_MAX)}`
    if (next.length > FAULTS_MAX) return `${joined}; and ${faults.length - 1 - index} more`
    joined = next
  }
  return joined
}
