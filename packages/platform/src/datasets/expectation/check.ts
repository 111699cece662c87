import type { ColumnType, DatasetDefinition, Expectation } from '@plimsoll/sdk/wire'
import { type Fault, pointerOf } from '../../kernel/errors.ts'
import { nearest } from '../../kernel/nearest.ts'
import { EXPECTATION_ARGUMENTS, isExpectationType } from './arguments.ts'
import { parseBound } from './bound.ts'

const NUMERIC = new Set<ColumnType['type']>(['int32', 'int64', 'float32', 'float64'])
const ORDERED = new Set<ColumnType['type']>([...NUMERIC, 'text', 'timestamp', 'date'])

/** Column types that an expectation can be asked of, where not all. */
function fittingTypes(type: string): { types: ReadonlySet<ColumnType['type']>; words: string } | undefined {
  if (/_(?:mean|median|sum|stdev)_to_be_between$/.test(type)) return { types: NUMERIC, words: 'numbers' }
  if (/^expect_column_(?:values|min|max)_to_be_between$/.test(type)) return { types: ORDERED, words: 'ordered values' }
  if (/value_lengths/.test(type)) return { types: new Set(['text']), words: 'text' }
  if (/match_regex$/.test(type))
    return { types: new Set([...NUMERIC, 'text', 'boolean', 'date', 'timestamp']), words: 'printable values' }
  return undefined
}

/** Every fault of a definition's expectations, with a JSON pointer into the definition. */
export function checkExpectations(definition: Pick<DatasetDefinition, 'schema' | 'expectations'>): Fault[] {
  return definition.expectations.flatMap((expectation, index) =>
    checkOne(definition.schema, expectation, `/expectations/${index}`),
  )
}

/** The name that was probably meant, else all that there are. */
function hintFor(type: string): string {
  const known = Object.keys(EXPECTATION_ARGUMENTS)
  const meant = nearest(type, known)
  return meant === undefined ? `; there are ${known.join(', ')}` : `: did you mean ${meant}?`
}

function checkOne(schema: DatasetDefinition['schema'], expectation: Expectation, pointer: string): Fault[] {
  const { type, kwargs } = expectation
  if (!isExpectationType(type))
    return [{ pointer: `${pointer}/type`, detail: `"${type}" is not an expectation known here${hintFor(type)}` }]
  const parsed = EXPECTATION_ARGUMENTS[type].safeParse(kwargs)
  const faults: Fault[] = []
  if (!parsed.success) {
    for (const issue of parsed.error.issues) {
      faults.push({ pointer: `${pointer}/kwargs${pointerOf(issue.path)}`, detail: issue.message })
    }
  }
  faults.push(...checkBounds(schema, expectation, `${pointer}/kwargs`))
  if (type !== 'expect_column_to_exist' && !type.startsWith('expect_table_'))
    faults.push(...checkColumns(schema, expectation, `${pointer}/kwargs`))
  return faults
}

function checkColumns(schema: DatasetDefinition['schema'], { type, kwargs }: Expectation, pointer: string): Fault[] {
  const named: [string, unknown][] = 'column' in kwargs ? [[`${pointer}/column`, kwargs.column]] : []
  if (Array.isArray(kwargs.column_list)) {
    for (const [index, name] of kwargs.column_list.entries()) named.push([`${pointer}/column_list/${index}`, name])
  }
  const faults: Fault[] = []
  for (const [place, name] of named) {
    if (typeof name !== 'string') continue
    const column = Object.hasOwn(schema, name) ? schema[name] : undefined
    const fitting = fittingTypes(type)
    if (!column) faults.push({ pointer: place, detail: `"${name}" is not a column of the schema` })
    else if (fitting && !fitting.types.has(column.type))
      faults.push({
        pointer: place,
        detail: `"${name}" has type ${column.type}, this expectation needs ${fitting.words}`,
      })
  }
  return faults
}

function checkBounds(schema: DatasetDefinition['schema'], { type, kwargs }: Expectation, pointer: string): Fault[] {
  const faults: Fault[] = []
  const { min_value: min, max_value: max } = kwargs
  if (type.endsWith('_to_be_between')) {
    if ((min ?? null) === null && (max ?? null) === null)
      faults.push({ pointer, detail: 'min_value and max_value cannot both be absent' })
    if (typeof min === 'number' && typeof max === 'number' && min > max)
      faults.push({ pointer, detail: `min_value ${min} is above max_value ${max}` })
  }
  const column =
    typeof kwargs.column === 'string' && Object.hasOwn(schema, kwargs.column) ? schema[kwargs.column] : undefined
  if (!column) return faults
  const check = (value: unknown, place: string) => {
    if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') return
    const found = parseBound(value, column)
    if ('fault' in found) faults.push({ pointer: `${pointer}/${place}`, detail: found.fault })
  }
  if (/^expect_column_(?:values|min|max)_to_be_between$/.test(type)) {
    check(min, 'min_value')
    check(max, 'max_value')
  }
  if (Array.isArray(kwargs.value_set)) {
    for (const [index, value] of kwargs.value_set.entries()) check(value, `value_set/${index}`)
  }
  return faults
}
