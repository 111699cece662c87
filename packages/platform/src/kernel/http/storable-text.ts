import type { Fault } from '../errors.ts'

const DETAIL = 'holds a NUL character or half of a surrogate pair, which no store can keep'

function isStorable(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed()
}

/**
 * Faults for every text below `value`, and every name of a member, that the database cannot store: NUL and lone
 * surrogates. How deep JSON goes is bounded before it is parsed.
 */
export function unstorableFaults(
  value: unknown,
  pointer: (path: PropertyKey[]) => string,
  path: readonly PropertyKey[] = [],
): Fault[] {
  if (typeof value === 'string') return isStorable(value) ? [] : [{ pointer: pointer([...path]), detail: DETAIL }]
  if (typeof value !== 'object' || value === null) return []
  const faults: Fault[] = []
  for (const [name, member] of Object.entries(value)) {
    if (!isStorable(name)) faults.push({ pointer: pointer([...path]), detail: `a member's name ${DETAIL}` })
    if (typeof member !== 'number' && typeof member !== 'boolean')
      faults.push(...unstorableFaults(member, pointer, [...path, name]))
  }
  return faults
}
