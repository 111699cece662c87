import type { Fault } from '../errors.ts'

const DETAIL = 'holds a NUL character or half of a surrogate pair, which no store can keep'

function isStorable(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed()
}

/**
 * Faults for every text below `value`, and every name of a member, that the database cannot store: NUL and lone
 * surrogates. How deep JSON goes is bounded before it is parsed.
 */
export function unstorableFaults(value: unknown, pointer: (path: PropertyKey[]) => string): Fault[] {
  const faults: Fault[] = []
  const path: (string | number)[] = []
  const look = (one: unknown): void => {
    if (typeof one === 'string') {
      if (!isStorable(one)) faults.push({ pointer: pointer([...path]), detail: DETAIL })
    } else if (Array.isArray(one)) for (let at = 0; at < one.length; at++) lookInto(at, one[at])
    else if (typeof one === 'object' && one !== null)
      for (const name of Object.keys(one)) {
        if (!isStorable(name)) faults.push({ pointer: pointer([...path]), detail: `a member's name ${DETAIL}` })
        lookInto(name, one[name as keyof typeof one])
      }
  }
  const lookInto = (name: string | number, one: unknown): void => {
    if (typeof one === 'number' || typeof one === 'boolean' || one === null) return
    path.push(name)
    look(one)
    path.pop()
  }
  look(value)
  return faults
}
