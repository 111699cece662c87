import { createTokenBody, issuedToken, tokenPage, tokensQuery, whoami } from '@plimsoll/sdk/wire'
import { z } from 'zod'
import type { Config } from '../config/index.ts'
import { type AnyEndpoint, endpoint } from '../http/index.ts'
import { ALL_PROJECTS } from './grants.ts'
import { memberEndpoints } from './member-endpoints.ts'
import { createToken, listTokens, revokeToken } from './tokens.ts'

/** Tokens, keys, roles and projects. */
export function authEndpoints(auth: Config['auth']): AnyEndpoint[] {
  return [
    endpoint({
      method: 'GET',
      path: '/api/v1/whoami',
      scope: 'viewer',
      summary: 'Who you are here, and what you may do',
      response: whoami,
      handler: async ({ ctx }) => ({ ...ctx.principal, principal: ctx.principal.id, project: ctx.project }),
    }),
    endpoint({
      method: 'POST',
      path: '/api/v1/tokens',
      scope: 'admin',
      status: 201,
      summary: 'Makes a token of a named person or program; its text is shown once',
      body: createTokenBody.extend({ days: z.int().min(1).max(auth.tokenDays).default(auth.tokenDays) }),
      response: issuedToken,
      handler: async ({ ctx, body }) => {
        const issued = await createToken(ctx, body)
        return { id: issued.id, token: issued.token, expires_at: issued.expiresAt.toISOString() }
      },
    }),
    endpoint({
      method: 'GET',
      path: '/api/v1/tokens',
      scope: 'admin',
      summary: 'Tokens of the project, without their text',
      query: tokensQuery,
      response: tokenPage,
      handler: async ({ ctx, query }) => {
        const rows = await listTokens(ctx, query)
        const tokens = rows.map((row) => ({
          ...row,
          all_projects: row.project === ALL_PROJECTS,
          created_at: row.created_at.toISOString(),
          expires_at: row.expires_at.toISOString(),
          last_used_at: row.last_used_at?.toISOString() ?? null,
          revoked_at: row.revoked_at?.toISOString() ?? null,
        }))
        return { tokens, next: tokens.length === query.limit ? tokens.at(-1)!.id : null }
      },
    }),
    endpoint({
      method: 'DELETE',
      path: '/api/v1/tokens/:token',
      scope: 'admin',
      summary: 'Revokes a token',
      params: z.strictObject({ token: z.string().max(64) }),
      response: 'nothing',
      handler: async ({ ctx, params }) => revokeToken(ctx, params.token),
    }),
    ...memberEndpoints,
  ]
}
