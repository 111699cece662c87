import { createHash } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import { realClock } from '../clock.ts'
import type { Context } from '../db/context.ts'
import { PlimsollError } from '../errors.ts'
import type { IdentityProvider } from './authorise.ts'
import { findKey, grantedRole } from './grants.ts'
import { parseSignedRequest, type RequestStatement, verifySshSignature } from './verify/index.ts'

/** Digests that signed requests claimed for bodies that have not arrived yet. */
const claimed = new WeakMap<FastifyRequest, string>()

function refuse(detail: string): never {
  throw new PlimsollError('unauthenticated', 'auth.bad_signature', `Cannot accept the signed request: ${detail}`)
}

function checkStatement(statement: RequestStatement, request: FastifyRequest, project: string, windowMs: number): void {
  if (statement.request !== `${request.method} ${request.url}`) refuse('it was signed for another request')
  if (statement.host !== request.headers.host) refuse('it was signed for another server')
  if (statement.project !== project) refuse('it was signed for another project')
  if (Math.abs(realClock.nowMs() - Date.parse(statement.at)) > windowMs) refuse('it is too old, or from the future')
}

/**
 * `Authorization: Plimsoll-SSH …`: a statement about this one request, signed by `ssh-keygen -Y sign -n plimsoll` with a
 * key that an admin of the project registered. The statement and its signature are kept: they prove who acted.
 */
export function openSshProvider(ctx: Context, windowMs: number): IdentityProvider {
  return async (request, { scheme, value }, project) => {
    if (scheme !== 'plimsoll-ssh') return undefined
    if (request.routeOptions.config.confirmsBody !== true) refuse('this route does not take signed requests')
    const { statement, text, signature } = parseSignedRequest(value)
    checkStatement(statement, request, project, windowMs)
    const { publicKey } = verifySshSignature(signature, Buffer.from(text, 'utf8'))
    const key = await findKey(ctx, project, statement.principal, publicKey.fingerprint)
    if (key === undefined) refuse('its key is not registered for that person here')
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
    claimed.set(request, statement.body)
    return {
      principal: { id: key.principal, kind: 'user', named: true, proof: `ssh:${key.fingerprint}` },
      roleOn: (asked) => (asked === project ? grantedRole(ctx, asked, key.principal) : Promise.resolve(undefined)),
    }
  }
}

/** Refuses a signed request whose body is not the one that was signed. @throws unauthenticated auth.bad_signature */
export function confirmSignedBody(request: FastifyRequest): void {
  const expected = claimed.get(request)
  if (expected === undefined) return
  const actual = createHash('sha256')
    .update(request.rawBody ?? Buffer.alloc(0))
    .digest('hex')
  if (expected !== `sha256:${actual}`) refuse('its body is not the one that was signed')
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Whether the route compares a signed body with the one that arrived. */
    confirmsBody?: boolean
  }
}
