import type { CodeBundle, DefinitionChange } from '@plimsoll/sdk/wire'
import type { Json } from '../kernel/canonical.ts'
import { escapePointer } from '../kernel/errors.ts'
import { member } from '../kernel/own-member.ts'

type Diff = DefinitionChange['diff']

const DIFF_MAX = 100

/** Every place where two JSON values differ, as JSON pointers. */
export function diffJson(old: Json | undefined, now: Json | undefined, pointer = '', found: Diff = []): Diff {
  if (found.length >= DIFF_MAX) return found
  const isTree = (value: Json | undefined): value is { readonly [key: string]: Json } =>
    typeof value === 'object' && value !== null
  if (isTree(old) && isTree(now) && Array.isArray(old) === Array.isArray(now)) {
    for (const key of [...new Set([...Object.keys(old), ...Object.keys(now)])])
      diffJson(member(old, key), member(now, key), `${pointer}/${escapePointer(key)}`, found)
  } else if (JSON.stringify(old) !== JSON.stringify(now))
    found.push({ pointer, old: (old ?? null) as never, new: (now ?? null) as never }) // JSON by construction
  return found
}

type Code = { readonly [step: string]: CodeBundle }

function filesOf(bundle: CodeBundle | undefined): { readonly [path: string]: Json } {
  const files = bundle?.files ?? []
  return Object.fromEntries(files.map((file) => [file.path, `${file.digest}${file.executable ? '+x' : ''}`]))
}

/** Adds every file of the steps' code that was added, removed or changed, as `/code/STEP/PATH` with its digests. */
export function diffCode(old: Code, now: Code, found: Diff): Diff {
  for (const step of [...new Set([...Object.keys(old), ...Object.keys(now)])].sort())
    diffJson(filesOf(member(old, step)), filesOf(member(now, step)), `/code/${step}`, found)
  return found
}
