import type { CacheVerdict } from '@plimsoll/sdk/wire'
import { canonicalJson, type Json } from '../kernel/canonical.ts'

type Change = CacheVerdict['diff'][number]
type Members = Readonly<Record<string, Json | undefined>>

const CHANGES_MAX = 200
const VALUE_CHARS_MAX = 500

/** What a list's entry is known by, so that one more file is one change: its path or name, else its place. */
function labelOf(item: Json, place: number): string {
  const { path, name } = (typeof item === 'object' && item !== null ? item : {}) as Members // checked on the next line
  const label = path ?? name
  return typeof label === 'string' ? label : String(place)
}

function membersOf(value: Json | undefined): Map<string, Json | undefined> | undefined {
  if (Array.isArray(value)) return new Map(value.map((item: Json, place) => [`[${labelOf(item, place)}]`, item]))
  if (typeof value !== 'object' || value === null) return undefined
  return new Map(Object.entries(value).map(([name, member]) => [`.${name}`, member]))
}

function textOf(value: Json | undefined): string | null {
  return value === undefined ? null : canonicalJson(value).slice(0, VALUE_CHARS_MAX)
}

/** What differs between two specs of a step, leaf by leaf and by name, at most 200 of them. */
export function diffSpecs(old: Json, now: Json): Change[] {
  const changes: Change[] = []
  const compare = (name: string, before: Json | undefined, after: Json | undefined): void => {
    if (changes.length >= CHANGES_MAX) return
    const [left, right] = [membersOf(before), membersOf(after)]
    if (left && right && Array.isArray(before) === Array.isArray(after)) {
      for (const key of new Set([...left.keys(), ...right.keys()])) compare(name + key, left.get(key), right.get(key))
      return
    }
    const [was, is] = [before, after].map((value) => (value === undefined ? null : canonicalJson(value)))
    if (was !== is)
      changes.push({ part: 'input', name: name.replace(/^\./, ''), old: textOf(before), new: textOf(after) })
  }
  compare('', old, now)
  return changes
}
