import { z } from 'zod'
import type { Config } from '../config/index.ts'
import { ROLES } from '../db/context.ts'
import { type AnyEndpoint, endpoint, pageLimit } from '../http/index.ts'
import { ALL_PROJECTS } from './grants.ts'
import { memberEndpoints } from './member-endpoints.ts'
import { principalName } from './principal-name.ts'
import { createToken, listTokens, revokeToken } from './tokens.ts'

const role = z.enum(ROLES)
const at = z.date().transform((date) => date.toISOString())

const tokenShape = z.object({
  id: z.string(),
  name: z.string(),
  principal: z.string(),
  role,
  all_projects: z.boolean(),
  created_at: at,
  created_by: z.string(),
  expires_at: at,
  last_used_at: at.nullable(),
  revoked_at: at.nullable(),
})

/** Tokens, keys, roles and projects. */
export function authEndpoints(auth: Config['auth']): AnyEndpoint[] {
  return [
    endpoint({
      method: 'GET',
      path: '/api/v1/whoami',
      scope: 'viewer',
      summary: 'Who you are here, and what you may do',
      response: z.object({
        principal: z.string(),
        kind: z.string(),
        named: z.boolean(),
        role,
        proof: z.string(),
        project: z.string(),
      }),
      handler: async ({ ctx }) => ({ ...ctx.principal, principal: ctx.principal.id, project: ctx.project }),
    }),
    endpoint({
      method: 'POST',
      path: '/api/v1/tokens',
      scope: 'admin',
      status: 201,
      summary: 'Makes a token of a named person or program; its text is shown once',
      body: z.strictObject({
        principal: principalName,
        name: z.string().min(1).max(128).default('token'),
        role,
        days: z.int().min(1).max(auth.tokenDays).default(auth.tokenDays),
        allProjects: z.boolean().default(false),
      }),
      response: z.object({ id: z.string(), token: z.string(), expires_at: at }),
      handler: async ({ ctx, body }) => {
        const issued = await createToken(ctx, body)
        return { id: issued.id, token: issued.token, expires_at: issued.expiresAt }
      },
    }),
    endpoint({
      method: 'GET',
      path: '/api/v1/tokens',
      scope: 'admin',
      summary: 'Tokens of the project, without their text',
      query: z.strictObject({
        after: z.string().max(64).default(''),
        limit: pageLimit(200).default(50),
      }),
      response: z.object({ tokens: z.array(tokenShape), next: z.string().nullable() }),
      handler: async ({ ctx, query }) => {
        const rows = await listTokens(ctx, query)
        const tokens = rows.map((row) => ({ ...row, all_projects: row.project === ALL_PROJECTS }))
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
