import type { Explanation, SpineLink } from '@plimsoll/sdk/wire'
import { printable } from './io.ts'

const MARKS = { verified: '✓', recorded: '·', altered: '✗', missing: '✗' } as const

/** How sure a digest of data is. */
const strengthOf = ({ detail: { strength } }: SpineLink) =>
  typeof strength === 'string' ? ` (${printable(strength)})` : ''

/** A release has no bytes of its own: its digest is that of the artifact, which stands below it too. */
const roleOf = ({ kind }: SpineLink) => (kind === 'release' ? 'releases ' : '')

/** Each link from the prediction back, with its digest and what is wrong with it. */
export function explanationLines({ links }: Explanation): string[] {
  const width = Math.max(...links.map(({ kind }) => kind.length))
  return links.flatMap((link) => [
    `${MARKS[link.check]} ${link.kind.padEnd(width)} ${printable(link.name)}`,
    ...(link.digest ? [`    ${roleOf(link)}${link.digest}${strengthOf(link)}`] : []),
    ...(link.kind === 'commit' && link.detail['dirty'] === true
      ? ['    the tree had changes that were not committed']
      : []),
    ...(link.problem ? [`    ${link.check}: ${printable(link.problem)}`] : []),
  ])
}
