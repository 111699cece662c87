import {
  createdProject,
  createProjectBody,
  grantList,
  keyList,
  keyView,
  principalName,
  projectList,
  registerKeyBody,
  setGrantBody,
} from '@plimsoll/sdk/wire'
import { z } from 'zod'
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
import type { KeyRow } from './tables.ts'

const grantParams = z.strictObject({ principal: principalName })

function viewOf<Row extends { readonly created_at: Date }>(row: Row) {
  return { ...row, created_at: row.created_at.toISOString() }
}

function keyViewOf(row: KeyRow) {
  return { ...viewOf(row), revoked_at: row.revoked_at?.toISOString() ?? null }
}

const projectEndpoints: AnyEndpoint[] = [
  endpoint({
    method: 'GET',
    path: '/api/v1/projects',
    scope: 'viewer',
    summary: 'Projects that you may see, with your role on each',
    response: projectList,
    handler: async ({ ctx }) => {
      const { principal, project: current } = ctx
      const isEverywhere = principal.id === 'operator' || principal.kind === 'anonymous'
      const roleOn = async (project: string) =>
        isEverywhere || project === current
          ? principal.role
          : principal.kind === 'user'
            ? grantedRole(ctx, project, principal.id)
            : undefined
      return { projects: (await listProjects(ctx, roleOn)).map(viewOf) }
    },
  }),
  endpoint({
    method: 'POST',
    path: '/api/v1/projects',
    scope: 'admin',
    status: 201,
    summary: 'Makes a project; for the operator and admins of all projects',
    body: createProjectBody,
    response: createdProject,
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
    response: keyList,
    handler: async ({ ctx }) => ({ keys: (await listKeys(ctx)).map(keyViewOf) }),
  }),
  endpoint({
    method: 'POST',
    path: '/api/v1/keys',
    scope: 'admin',
    status: 201,
    summary: 'Registers a person’s SSH key, with which they may sign requests',
    body: registerKeyBody,
    response: keyView,
    handler: async ({ ctx, body }) => keyViewOf(await registerKey(ctx, body.principal, body.public_key)),
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
    response: grantList,
    handler: async ({ ctx }) => ({ grants: (await listGrants(ctx)).map(viewOf) }),
  }),
  endpoint({
    method: 'PUT',
    path: '/api/v1/grants/:principal',
    scope: 'admin',
    summary: 'Gives a person a role',
    params: grantParams,
    body: setGrantBody,
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
