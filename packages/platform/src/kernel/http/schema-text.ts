import { escapeHtml } from './page.ts'

/** What of JSON Schema the contract has. */
export interface Schema {
  readonly $ref?: string
  readonly type?: string | readonly string[]
  readonly format?: string
  readonly pattern?: string
  readonly const?: unknown
  readonly enum?: readonly unknown[]
  readonly default?: unknown
  readonly minimum?: number
  readonly maximum?: number
  readonly exclusiveMinimum?: number
  readonly exclusiveMaximum?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly minItems?: number
  readonly maxItems?: number
  readonly items?: Schema
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly additionalProperties?: boolean | Schema
  readonly anyOf?: readonly Schema[]
  readonly oneOf?: readonly Schema[]
  readonly allOf?: readonly Schema[]
}

const PATTERN_CHARS_MAX = 48

/** `1–250 characters`, `at most 10`; what no number can exceed anyway is left out. */
function rangeOf(least: number | undefined, most: number | undefined, unit: string): string {
  const [from, to] = [least || undefined, most === Number.MAX_SAFE_INTEGER ? undefined : most]
  if (from !== undefined && to !== undefined) return `, ${from === to ? from : `${from}–${to}`}${unit}`
  if (from !== undefined) return `, at least ${from}${unit}`
  return to === undefined ? '' : `, at most ${to}${unit}`
}

function stringText({ format, pattern, minLength, maxLength }: Schema): string {
  const form = format ?? (pattern && pattern.length <= PATTERN_CHARS_MAX ? `/${pattern}/` : undefined)
  return `string${form === undefined ? '' : ` ${form}`}${rangeOf(minLength, maxLength, ' characters')}`
}

function numberText(type: string, schema: Schema): string {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = schema
  const bounds = [
    ['≥', minimum],
    ['>', exclusiveMinimum],
    ['≤', maximum],
    ['<', exclusiveMaximum],
  ] as const
  const told = bounds.filter(([, bound]) => bound !== undefined && Math.abs(bound) < Number.MAX_SAFE_INTEGER)
  return [type, ...told.map(([sign, bound]) => `${sign} ${bound}`)].join(' ')
}

const optionsOf = ({ anyOf, oneOf, allOf }: Schema): readonly Schema[] => anyOf ?? oneOf ?? allOf ?? []

/** A schema in a few words; the members of objects in it are told below it. */
export function typeText(schema: Schema): string {
  if (schema.$ref !== undefined) return schema.$ref.slice(schema.$ref.lastIndexOf('/') + 1)
  if (schema.const !== undefined) return JSON.stringify(schema.const)
  if (schema.enum !== undefined) return schema.enum.map((one) => JSON.stringify(one)).join(' | ')
  const options = optionsOf(schema)
  if (options.length > 0) return [...new Set(options.map(typeText))].join(schema.allOf ? ' & ' : ' | ')
  const { type, items, minItems, maxItems, additionalProperties } = schema
  if (type === 'array') return `array of ${typeText(items ?? {})}${rangeOf(minItems, maxItems, '')}`
  if (type === 'string') return stringText(schema)
  if (type === 'integer' || type === 'number') return numberText(type, schema)
  if (type === 'object' && typeof additionalProperties === 'object' && Object.keys(additionalProperties).length > 0)
    return `object of ${typeText(additionalProperties)} by name`
  return type === undefined ? 'any' : [type].flat().join(' | ')
}

/** What a list of members or of options lies in. */
function partsOf(schema: Schema): readonly Schema[] {
  const { items, additionalProperties } = schema
  const inner = typeof additionalProperties === 'object' ? [additionalProperties] : []
  return [...optionsOf(schema), ...(items ? [items] : []), ...inner]
}

function memberHtml(name: string, schema: Schema, isRequired: boolean): string {
  const preset = schema.default === undefined ? '' : `, ${JSON.stringify(schema.default)} when absent`
  const text = `${typeText(schema)}${preset}${isRequired || preset !== '' ? '' : ', optional'}`
  return `<li><code>${escapeHtml(name)}</code> ${escapeHtml(text)}${membersHtml(schema)}</li>`
}

/** The members of the objects in a schema as a list; nothing where it has none. */
export function membersHtml(schema: Schema): string {
  const { properties = {}, required = [] } = schema
  const members = Object.entries(properties).map(([name, member]) => memberHtml(name, member, required.includes(name)))
  const own = members.length > 0 ? `<ul>${members.join('')}</ul>` : ''
  const inner = partsOf(schema)
    .map(membersHtml)
    .filter((html) => html !== '')
  return own + inner.join(schema.allOf ? '' : 'or')
}
