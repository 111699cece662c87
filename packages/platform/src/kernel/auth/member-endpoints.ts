import { z } from 'zod'
import { ROLES } from '../db/context.ts'
import { type AnyEndpoint, endpoint } from '../http/index.ts'
import {
  createProject,
  grantedRole,
  listGrants,
  listKeys,
  listProjects,
  registerKey,
  removeGrant,
  revokeKey,
  setGrant,
} from './grants.ts'
import { principalName } from './principal-name.ts'

const role = z.enum(ROLES)
const at = z.date().transform((date) => date.toISOString())
const keyShape = z.object({
  id: z.string(),
  principal: z.string(),
  fingerprint: z.string(),
  public_key: z.string(),
  created_at: at,
  created_by: z.string(),
  revoked_at: at.nullable(),
})
const grantParams = z.strictObject({ principal: principalName })

const projectEndpoints: AnyEndpoint[] = [
  endpoint({
    method: 'GET',
    path: '/api/v1/projects',
    scope: 'viewer',
    summary: 'Projects that you may see, with your role on each',
    response: z.object({
      projects: z.array(z.object({ project: z.string(), role, created_at: at, created_by: z.string() })),
    }),
    handler: async ({ ctx }) => {
      const { principal, project: current } = ctx
      const isEverywhere = principal.id === 'operator' || principal.kind === 'anonymous'
      const roleOn = async (project: string) =>
        isEverywhere || project === current
          ? principal.role
          : principal.kind === 'user'
            ? grantedRole(ctx, project, principal.id)
            : undefined
      return { projects: await listProjects(ctx, roleOn) }
    },
  }),
  endpoint({
    method: 'POST',
    path: '/api/v1/projects',
    scope: 'admin',
    status: 201,
    summary: 'Makes a project; for the operator and admins of all projects',
    body: z.strictObject({
      project: z
        .string()
        .regex(
          /^[a-z][a-z0-9_-]{0,62}$/,
          'must start with a letter and have lower-case letters, digits, - and _, at most 63',
        ),
    }),
    response: z.object({ project: z.string() }),
    handler: async ({ ctx, body }) => {
      await createProject(ctx, body.project)
      return body
    },
  }),
]

const keyEndpoints: AnyEndpoint[] = [
  endpoint({
    method: 'GET',
    path: '/api/v1/keys',
    scope: 'admin',
    summary: 'SSH keys of people in the project',
    response: z.object({ keys: z.array(keyShape) }),
    handler: async ({ ctx }) => ({ keys: await listKeys(ctx) }),
  }),
  endpoint({
    method: 'POST',
    path: '/api/v1/keys',
    scope: 'admin',
    status: 201,
    summary: 'Registers a person’s SSH key, with which they may sign requests',
    body: z.strictObject({ principal: principalName, public_key: z.string().min(1).max(8_192) }),
    response: keyShape,
    handler: async ({ ctx, body }) => registerKey(ctx, body.principal, body.public_key),
  }),
  endpoint({
    method: 'DELETE',
    path: '/api/v1/keys/:key',
    scope: 'admin',
    summary: 'Revokes a key',
    params: z.strictObject({ key: z.string().max(64) }),
    response: 'nothing',
    handler: async ({ ctx, params }) => revokeKey(ctx, params.key),
  }),
]

const grantEndpoints: AnyEndpoint[] = [
  endpoint({
    method: 'GET',
    path: '/api/v1/grants',
    scope: 'admin',
    summary: 'Roles of people in the project, for SSH keys and OIDC logins',
    response: z.object({
      grants: z.array(z.object({ principal: z.string(), role, created_at: at, created_by: z.string() })),
    }),
    handler: async ({ ctx }) => ({ grants: await listGrants(ctx) }),
  }),
  endpoint({
    method: 'PUT',
    path: '/api/v1/grants/:principal',
    scope: 'admin',
    summary: 'Gives a person a role',
    params: grantParams,
    body: z.strictObject({ role }),
    response: 'nothing',
    handler: async ({ ctx, params, body }) => setGrant(ctx, params.principal, body.role),
  }),
  endpoint({
    method: 'DELETE',
    path: '/api/v1/grants/:principal',
    scope: 'admin',
    summary: 'Takes a person’s role away',
    params: grantParams,
    response: 'nothing',
    handler: async ({ ctx, params }) => removeGrant(ctx, params.principal),
  }),
]

/** Projects, keys and roles of people. */
export const memberEndpoints: readonly AnyEndpoint[] = [...projectEndpoints, ...keyEndpoints, ...grantEndpoints]
