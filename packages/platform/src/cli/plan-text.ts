import type { PlanView } from '@plimsoll/sdk/wire'
import { printable } from './io.ts'

const SIGNS = { create: '+', change: '~', delete: '-', unchanged: ' ', kept: '!' } as const
const DIFFS_MAX = 12
const VALUE_CHARS_MAX = 60

function short(value: unknown): string {
  const text = JSON.stringify(value) ?? 'null'
  return printable(text.length > VALUE_CHARS_MAX ? `${text.slice(0, VALUE_CHARS_MAX)}…` : text)
}

/** A plan for people: one line per definition that changes, with what differs below it. */
export function changeLines(plan: PlanView): string[] {
  const lines: string[] = []
  const counts = { create: 0, change: 0, delete: 0, unchanged: 0, kept: 0 }
  for (const change of plan.changes) {
    counts[change.change]++
    if (change.change === 'unchanged') continue
    lines.push(`${SIGNS[change.change]} ${change.kind} ${printable(change.name)}`)
    if (change.change === 'kept') lines.push('    no longer declared here; --prune deletes it')
    if (change.change !== 'change') continue
    for (const diff of change.diff.slice(0, DIFFS_MAX))
      lines.push(`    ${printable(diff.pointer)}: ${short(diff.old)} → ${short(diff.new)}`)
    if (change.diff.length > DIFFS_MAX) lines.push(`    and ${change.diff.length - DIFFS_MAX} more`)
  }
  for (const warning of plan.warnings) lines.push(`warning: ${printable(warning)}`)
  lines.push(
    `${counts.create} to create, ${counts.change} to change, ${counts.delete} to delete, ${counts.unchanged} unchanged`,
  )
  return lines
}
