import { plainText } from './amount.ts'

/** The platform's own names, which no person can have. */
const OWN: Record<string, string> = {
  system: 'the platform',
  anonymous: 'someone who did not log in',
  operator: 'the operator of the server',
}

const TOKEN_CHARS_MAX = 16
const TOKEN_END = 8

/** Ids begin with their time, so that their ends differ; the audit has the whole. */
function shortToken(id: string): string {
  return id.length > TOKEN_CHARS_MAX ? `tok_…${id.slice(-TOKEN_END)}` : id
}

/** `, signed with SSH key …`, to be read after a name; nothing where nothing was asked. */
export function proofText(proof: string): string {
  if (proof === 'none') return ''
  const [, kind, detail = ''] = /^(ssh|token|oidc)(?::(.*))?$/s.exec(proof) ?? []
  if (kind === 'ssh') return `, signed with SSH key ${plainText(detail, 80)}`.trimEnd()
  if (kind === 'token') return `, with token ${plainText(shortToken(detail), 80)}`.trimEnd()
  if (kind === 'oidc') return `, logged in through ${plainText(detail, 120)}`
  return `, ${plainText(proof, 60)}`
}

/** `by the platform`, `by ada, with token tok_1`: who did a thing, and how that is known, in words. */
export function actorText(actor: string, proof = 'none'): string {
  // A run has a token of its own: it proves the run, and no person.
  if (actor.startsWith('run:')) return `by a step of run ${plainText(actor.slice(4), 120)}`
  return `by ${OWN[actor] ?? plainText(actor, 120)}${proofText(proof)}`
}
