import type { z } from 'zod'
import { faultText, IN_WORDS, joinFaults, shownValue } from '../wire/definition/words.ts'

/** A definition that cannot be: `plan` shows it in one line, with the line of the project file where it was made. */
export class DefinitionError extends TypeError {
  override readonly name = 'DefinitionError'
}

/** Where the evaluation of a project learns of what is defined, exported or not. */
const MADE = Symbol.for('plimsoll.definitions')

function tellMade(made: unknown): void {
  const list = (globalThis as { [MADE]?: unknown[] })[MADE] // set by the evaluation only
  if (isRecord(made) && 'kind' in made && 'name' in made) list?.push({ kind: made['kind'], name: made['name'] })
}

/** What the schema makes of a value. @throws DefinitionError with every fault: the member, what was found and what was expected */
export function defined<S extends z.ZodType>(schema: S, what: string, value: unknown): z.output<S> {
  const parsed = schema.safeParse(value, IN_WORDS)
  if (parsed.success) {
    tellMade(parsed.data)
    return parsed.data
  }
  const faults = parsed.error.issues.map((issue) =>
    issue.path.length === 0 ? faultText(issue) : `${issue.path.map(String).join('/')}: ${faultText(issue)}`,
  )
  throw new DefinitionError(`${what}: ${joinFaults(faults)}`)
}

/** Whether a value has members by name. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Types are stripped, not checked, where a project is evaluated: a misspelt option would be no option at all. */
export function refuseUnknown(what: string, given: unknown, known: readonly string[]): void {
  if (!isRecord(given))
    throw new DefinitionError(`${what} takes a record of ${known.join(', ')}, found ${shownValue(given)}`)
  const unknown = Object.keys(given).filter((name) => !known.includes(name))
  if (unknown.length > 0)
    throw new DefinitionError(
      `${what} takes no ${unknown.map((name) => `"${name}"`).join(', ')}: it takes ${known.join(', ')}`,
    )
}

/** The name of a definition that is given itself or by its name; anything else is left to the schema to refuse. */
export function nameOf(of: { readonly name: string } | string): string {
  return isRecord(of) ? (of.name as string) : (of as string) // judged by the schema where it is neither
}

/** A list as it was given: a text would be taken for a list of its characters. */
export function listOf<T>(what: string, values: readonly T[]): T[] {
  if (!Array.isArray(values)) throw new DefinitionError(`${what}: expected a list, found ${shownValue(values)}`)
  return [...values]
}
