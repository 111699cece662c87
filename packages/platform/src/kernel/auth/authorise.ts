import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import type { IdentityProvider, PresentedCredentials } from '@plimsoll/sdk/seams'
import { projectName, ROLES, type Role } from '@plimsoll/sdk/wire'
import type { FastifyRequest } from 'fastify'
import type { Context, Principal } from '../db/context.ts'
import { PlimsollError } from '../errors.ts'
import type { Authoriser, Scope } from '../http/index.ts'
import { NAMED_ACTION, TOKEN_ACTION } from './action.ts'
import { ALL_PROJECTS } from './grants.ts'
import './tables.ts'
import { ASK_FOR_TOKEN, SEND_TOKEN } from './verify/index.ts'

/** Who calls, before any project is known; anonymous as well. */
interface Identity {
  readonly principal: Omit<Principal, 'role'>
  readonly project?: string
  readonly bodyDigest?: string
  roleOn(project: string): Promise<Role | undefined>
}

export interface AuthoriserOptions {
  ctx: Context
  /** False on loopback unless asked for: then a caller without identity works as an editor. */
  requireToken: boolean
  /** Asked in this order. */
  providers: readonly IdentityProvider[]
}

const DEFAULT_PROJECT = 'default'

const ANONYMOUS: Identity = {
  principal: { id: 'anonymous', kind: 'anonymous', named: false, proof: 'none' },
  roleOn: async () => 'editor',
}

export function hasRole(held: Role, needed: Role): boolean {
  return ROLES.indexOf(held) >= ROLES.indexOf(needed)
}

/** Decides for every route: identity, project, role on it, and whether the scope asks for a named principal. */
export function openAuthoriser(options: AuthoriserOptions): Authoriser {
  /** Bodies that have not arrived yet, as credentials vouched for them. */
  const expected = new WeakMap<FastifyRequest, string>()
  return {
    confirm: (request) => confirmBody(request, expected.get(request)),
    async authorise(request, scope) {
      const named = projectNamedBy(request)
      if (scope === 'public')
        return options.ctx.as({
          project: named ?? DEFAULT_PROJECT,
          principal: { ...ANONYMOUS.principal, role: 'viewer' },
        })
      const identity = await identify(options, request, named ?? DEFAULT_PROJECT)
      const project = named ?? identity.project ?? DEFAULT_PROJECT
      if (identity.bodyDigest !== undefined) expected.set(request, identity.bodyDigest)
      const role = await identity.roleOn(project)
      const exists = role === undefined ? false : await projectExists(options.ctx, project)
      if (role === undefined || !exists) throw projectNotFound(project, identity.principal.id, role)
      const principal: Principal = { ...identity.principal, role }
      if (scope === 'platform') await requirePlatform(identity)
      else requireScope(principal, scope)
      return options.ctx.as({ project, principal })
    },
  }
}

function projectNamedBy(request: FastifyRequest): string | undefined {
  const project = request.headers['x-plimsoll-project'] ?? request.headers['x-mlflow-workspace']
  if (project === undefined || project === '') return undefined
  if (typeof project !== 'string' || !projectName.safeParse(project).success)
    throw new PlimsollError(
      'invalid',
      'auth.bad_project',
      'Cannot read the project: a name has lower-case letters, digits, - and _, at most 63',
      { faults: [{ pointer: '', detail: 'X-Plimsoll-Project is not a project name' }] },
    )
  return project
}

/** Whoever has no role on a project is not told whether there is one. Projects are listed from one that is there. */
function projectNotFound(project: string, by: string, role: Role | undefined): PlimsollError {
  const rest = role === undefined ? `, or ${by} has no role on it` : ''
  return new PlimsollError('not_found', 'auth.project_not_found', `There is no project "${project}"${rest}`, {
    action: `See those that there are with plimsoll project list --project default, or let the operator make it: plimsoll project create ${project}`,
  })
}

async function projectExists(ctx: Context, project: string): Promise<boolean> {
  return (
    (await ctx.db.selectFrom('auth_project').select('project').where('project', '=', project).executeTakeFirst()) !==
    undefined
  )
}

async function identify(options: AuthoriserOptions, request: FastifyRequest, project: string): Promise<Identity> {
  const header = request.headers.authorization
  if (header === undefined) {
    if (!options.requireToken) return ANONYMOUS
    throw new PlimsollError('unauthenticated', 'auth.token_missing', 'This server asks for a token', {
      action: SEND_TOKEN,
    })
  }
  const [, scheme, value] = /^([A-Za-z][A-Za-z0-9-]*) +(\S.*)$/.exec(header) ?? []
  if (scheme === undefined || value === undefined)
    throw new PlimsollError('unauthenticated', 'auth.bad_header', 'The Authorization header cannot be read')
  const presented = presentedBy(request, { scheme: scheme.toLowerCase(), value: value.trim(), project })
  for (const provider of options.providers) {
    const identity = await provider.identify(presented)
    if (identity === undefined) continue
    const isConfirmed = identity.bodyDigest === undefined || presented.request.confirmsBody
    assert(isConfirmed, `${provider.name} vouches for a body that nothing compares`)
    return identity
  }
  throw nobodysKind(presented)
}

function presentedBy(
  request: FastifyRequest,
  sent: Pick<PresentedCredentials, 'scheme' | 'value' | 'project'>,
): PresentedCredentials {
  const { method, url, headers, routeOptions } = request
  const confirmsBody = routeOptions.config.confirmsBody === true
  return { ...sent, request: { method, url, host: headers.host ?? '', confirmsBody } }
}

/** No provider takes such credentials. Any server takes tokens of a bearer, so that the text is at fault there. */
function nobodysKind({ scheme }: PresentedCredentials): PlimsollError {
  if (scheme === 'bearer')
    return new PlimsollError('unauthenticated', 'auth.token_malformed', 'The token is none of this server', {
      action: ASK_FOR_TOKEN,
    })
  return new PlimsollError('unauthenticated', 'auth.scheme_unknown', 'This server does not take that kind of login', {
    action: SEND_TOKEN,
  })
}

/** Refuses a body that is not the one that the credentials are good for. @throws unauthenticated auth.bad_signature */
function confirmBody(request: FastifyRequest, expected: string | undefined): void {
  if (expected === undefined) return
  const actual = createHash('sha256')
    .update(request.rawBody ?? Buffer.alloc(0))
    .digest('hex')
  if (expected === `sha256:${actual}`) return
  throw new PlimsollError(
    'unauthenticated',
    'auth.bad_signature',
    'Cannot accept the signed request: its body is not the one that was signed',
  )
}

function scopeMissing({ id, kind }: Identity['principal'], why: string): PlimsollError {
  return new PlimsollError(
    'forbidden',
    'auth.scope_missing',
    `${id} may not do this: ${why}`,
    kind === 'anonymous' ? { action: TOKEN_ACTION } : {},
  )
}

/** What shows all projects is for who has a role on all of them: the operator, and on an open loopback anybody. */
async function requirePlatform({ principal, roleOn }: Identity): Promise<void> {
  if (principal.kind !== 'run' && (await roleOn(ALL_PROJECTS)) !== undefined) return
  throw scopeMissing(principal, "it shows all projects, and needs the operator's token or a role on all of them")
}

function requireScope(principal: Principal, scope: Exclude<Scope, 'public' | 'platform'>): void {
  if (scope === 'run') {
    if (principal.kind === 'run' || hasRole(principal.role, 'editor')) return
    throw scopeMissing(
      principal,
      `it needs a run's token or the role editor, and ${principal.id} has ${principal.role}`,
    )
  }
  if (scope === 'operator') {
    // No token of a person may have this name.
    if (principal.id === 'operator') return
    throw scopeMissing(principal, "it spans all projects, and needs the operator's token")
  }
  const isNamedScope = scope.startsWith('named:')
  const needed = (isNamedScope ? scope.slice('named:'.length) : scope) as Role // the scopes are built from the roles
  if (isNamedScope && !principal.named) {
    throw new PlimsollError(
      'forbidden',
      'auth.named_principal_needed',
      `${principal.id} may not do this: it needs a named person or program`,
      {
        action: NAMED_ACTION,
      },
    )
  }
  if (!hasRole(principal.role, needed))
    throw scopeMissing(principal, `it needs the role ${needed} on the project, and has ${principal.role}`)
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Whether the route compares the body that credentials vouch for with the one that arrived. */
    confirmsBody?: boolean
  }
}
