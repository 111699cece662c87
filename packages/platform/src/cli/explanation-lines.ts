import type { Explanation, SpineLink } from '@plimsoll/sdk/wire'
import { z } from 'zod'
import { printable } from './io.ts'

const MARKS = { verified: '✓', recorded: '·', altered: '✗', missing: '✗' } as const

/** How sure a digest of data is. */
const strengthOf = ({ detail: { strength } }: SpineLink) =>
  typeof strength === 'string' ? ` (${printable(strength)})` : ''

/** A release has no bytes of its own: its digest is that of the artifact, which stands below it too. */
const roleOf = ({ kind }: SpineLink) => (kind === 'release' ? 'releases ' : '')

const approval = z.object({ by: z.string(), selfApproved: z.boolean() })
const release = z.object({
  by: z.string(),
  reason: z.string(),
  at: z.string(),
  approvals: z.array(approval).default([]),
})

/** When a prediction was made; who let its version serve, and why. */
function factLines({ kind, detail }: SpineLink): string[] {
  if (kind === 'prediction') return typeof detail['at'] === 'string' ? [`    at ${printable(detail['at'])}`] : []
  const said = kind === 'release' ? release.safeParse(detail).data : undefined
  if (!said) return []
  const approvers = said.approvals.map(({ by, selfApproved }) => `${by}${selfApproved ? ' (self-approved)' : ''}`)
  return [
    `    by ${said.by}, ${said.at}: ${said.reason}`,
    ...(approvers.length > 0 ? [`    approved by ${approvers.join(', ')}`] : []),
  ].map(printable)
}

/** Each link from the prediction back, with its digest and what is wrong with it. */
export function explanationLines({ links }: Explanation): string[] {
  const width = Math.max(...links.map(({ kind }) => kind.length))
  return links.flatMap((link) => [
    `${MARKS[link.check]} ${link.kind.padEnd(width)} ${printable(link.name)}`,
    ...(link.digest ? [`    ${roleOf(link)}${link.digest}${strengthOf(link)}`] : []),
    ...factLines(link),
    ...(link.kind === 'commit' && link.detail['dirty'] === true
      ? ['    the tree had changes that were not committed']
      : []),
    ...(link.problem ? [`    ${link.check}: ${printable(link.problem)}`] : []),
  ])
}
