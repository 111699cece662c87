import type { IdentityProvider, PresentedCredentials, ProvenIdentity } from '@plimsoll/sdk/seams'
import { principalName } from '@plimsoll/sdk/wire'
import { realClock } from '../clock.ts'
import type { Context } from '../db/context.ts'
import { isPlimsollError, PlimsollError } from '../errors.ts'
import { findKey, grantedRole } from './grants.ts'
import { parseSignedRequest, type RequestStatement, verifySshSignature } from './verify/index.ts'

function refuse(detail: string): never {
  throw new PlimsollError('unauthenticated', 'auth.bad_signature', `Cannot accept the signed request: ${detail}`)
}

/** What is read of a login and is not as it has to be is a login that does not hold, not a wrong request. */
function orRefuse<Result>(read: () => Result): Result {
  try {
    return read()
  } catch (error) {
    if (!isPlimsollError(error) || error.kind !== 'invalid') throw error
    throw new PlimsollError('unauthenticated', 'auth.bad_signature', error.message, {}, error)
  }
}

function checkStatement(
  statement: RequestStatement,
  { request, project }: PresentedCredentials,
  windowMs: number,
): void {
  if (statement.request !== `${request.method} ${request.url}`) refuse('it was signed for another request')
  if (statement.host !== request.host) refuse('it was signed for another server')
  if (statement.project !== project) refuse('it was signed for another project')
  if (!principalName.safeParse(statement.principal).success) refuse('its principal is no name of a person')
  if (Math.abs(realClock.nowMs() - Date.parse(statement.at)) > windowMs) refuse('it is too old, or from the future')
}

/**
 * `Authorization: Plimsoll-SSH …`: a statement about this one request, signed by `ssh-keygen -Y sign -n plimsoll` with a
 * key that an admin of the project registered. The statement and its signature are kept: they prove who acted.
 */
export function openSshProvider(ctx: Context, windowMs: number): IdentityProvider {
  return {
    name: 'ssh',
    identify: async (presented) =>
      presented.scheme === 'plimsoll-ssh' ? identifySigner(ctx, presented, windowMs) : undefined,
  }
}

async function identifySigner(
  ctx: Context,
  presented: PresentedCredentials,
  windowMs: number,
): Promise<ProvenIdentity> {
  const { project } = presented
  if (!presented.request.confirmsBody) refuse('this route does not take signed requests')
  const { statement, text, signature } = orRefuse(() => parseSignedRequest(presented.value))
  checkStatement(statement, presented, windowMs)
  const { publicKey } = orRefuse(() => verifySshSignature(signature, Buffer.from(text, 'utf8')))
  const key = await findKey(ctx, project, statement.principal, publicKey.fingerprint)
  if (key === undefined) refuse(`its key is not registered for ${statement.principal} here`)
  const stored = await ctx.db
    .insertInto('auth_signature')
    .values({
      nonce: statement.nonce,
      project,
      principal: key.principal,
      fingerprint: key.fingerprint,
      statement: text,
      signature,
      at: new Date(statement.at),
    })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst()
  if (stored.numInsertedOrUpdatedRows === 0n) refuse('it was used before')
  return {
    principal: { id: key.principal, kind: 'user', named: true, proof: `ssh:${key.fingerprint}` },
    bodyDigest: statement.body,
    roleOn: (asked) => (asked === project ? grantedRole(ctx, asked, key.principal) : Promise.resolve(undefined)),
  }
}
