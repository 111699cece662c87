import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { IdentityProvider } from '@plimsoll/sdk/seams'
import { ROLES } from '@plimsoll/sdk/wire'
import type { FastifyInstance } from 'fastify'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { openFilesBlobStore } from '../adapters/files/index.ts'
import {
  auditEndpoints,
  authEndpoints,
  createOperatorToken,
  createProject,
  createToken,
  listTokens,
  openAuthoriser,
  openTokenProvider,
  revokeToken,
} from '../kernel/auth/index.ts'
import { formatToken, newSigningKey } from '../kernel/auth/verify/index.ts'
import { realClock } from '../kernel/clock.ts'
import { settings } from '../kernel/config/index.ts'
import { openTestDatabase, type TestDatabase } from '../kernel/db/database.fixture.ts'
import type { Context } from '../kernel/db/index.ts'
import { type AnyEndpoint, mountEndpoints, openHttp } from '../kernel/http/index.ts'
import { silentLog } from '../kernel/log.ts'
import { openMetrics } from '../kernel/telemetry/index.ts'
import { goingAttempt } from '../pipelines/going-attempt.fixture.ts'
import { openAttemptTokens } from '../pipelines/index.ts'
import { mlflowRegistryEndpoints } from '../registry/index.ts'
import { mlflowTrackingEndpoints, registerMlflowSurface } from '../tracking/index.ts'
import { mlflowContext } from './control-plane.ts'
import { openDomains } from './domains.ts'
import { platformEndpoints } from './platform-endpoints.ts'

const directory = mkdtempSync(join(tmpdir(), 'plimsoll-auth-'))
const config = settings.parse({})
let database: TestDatabase
let endpoints: AnyEndpoint[]
const servers: Record<'open' | 'guarded', FastifyInstance | undefined> = { open: undefined, guarded: undefined }
const tokens: Record<string, string> = {}
const signingKey = newSigningKey()
let providers: readonly IdentityProvider[] = []

/** Only the table is read: nothing answers from a store. */
const NO_BLOBS = { blobs: undefined as never }
const MLFLOW = [...mlflowTrackingEndpoints(NO_BLOBS), ...mlflowRegistryEndpoints(NO_BLOBS)]

/** Every route of the control plane, each answering with who came in: what is walked is the table, not the handlers. */
function echoing(endpoint: AnyEndpoint): AnyEndpoint {
  const { params: _params, query: _query, body: _body, response: _response, bodyKind: _kind, ...rest } = endpoint
  return {
    ...rest,
    status: 200,
    response: z.strictObject({ in: z.string(), as: z.string() }),
    handler: async ({ ctx }) => ({ in: ctx.project, as: ctx.principal.id }),
  }
}

function openServer(requireToken: boolean): FastifyInstance {
  const app = openHttp({
    http: config.http,
    host: '127.0.0.1',
    publicHosts: [],
    behindProxy: false,
    clock: realClock,
    log: silentLog,
  })
  const authoriser = openAuthoriser({ ctx: database.ctx, requireToken, providers })
  mountEndpoints(app, endpoints.map(echoing), authoriser)
  void registerMlflowSurface(app, {
    endpoints: MLFLOW.map(({ method, path, access }) => ({
      method,
      path,
      access,
      fields: {},
      handler: async () => ({}),
    })),
    contextOf: (request) => mlflowContext(authoriser, request),
    clock: realClock,
    log: silentLog,
  })
  return app
}

beforeAll(async () => {
  database = await openTestDatabase()
  const own = database.ctx.as({ principal: { ...database.ctx.principal, id: 'operator' } })
  await createProject(own, 'foreign')
  for (const role of ROLES) {
    tokens[role] = (
      await createToken(own, { principal: `own-${role}`, name: 't', role, days: 1, allProjects: false })
    ).token
    tokens[`foreign ${role}`] = (
      await createToken(own.as({ project: 'foreign' }), {
        principal: `foreign-${role}`,
        name: 't',
        role,
        days: 1,
        allProjects: false,
      })
    ).token
  }
  tokens.operator = (await createOperatorToken(own, 60_000)).token
  const blobs = openFilesBlobStore(directory)
  const domains = openDomains({
    config,
    ctx: database.ctx,
    blobs: await blobs,
    signingKey,
    replay: undefined,
    paths: { runs: directory, environments: directory },
  } as Parameters<typeof openDomains>[0])
  providers = [openTokenProvider(database.ctx), ...domains.providers]
  const { tokenOf } = openAttemptTokens(database.ctx, signingKey.privateKey)
  tokens.run = tokenOf(await goingAttempt(own, 1n))
  tokens['foreign run'] = tokenOf(await goingAttempt(own.as({ project: 'foreign' }), 2n))
  const own_ = [
    ...authEndpoints(config.auth),
    ...auditEndpoints(join(directory, 'ledger.log'), []),
    ...domains.endpoints,
  ]
  endpoints = [...platformEndpoints({ endpoints: own_, metrics: openMetrics('test'), replayRate: undefined }), ...own_]
  servers.open = openServer(false)
  servers.guarded = openServer(true)
})
afterAll(async () => {
  await Promise.all(Object.values(servers).map((server) => server?.close()))
  await database.close()
  rmSync(directory, { recursive: true, force: true })
})

type Caller =
  | 'nobody'
  | 'run'
  | 'foreign run'
  | 'operator'
  | (typeof ROLES)[number]
  | `foreign ${(typeof ROLES)[number]}`

/** What the scopes promise, written apart from the code that keeps it. */
function expected(scope: string, caller: Caller, isGuarded: boolean): number {
  if (scope === 'public') return 200
  if (caller.startsWith('foreign')) return 404
  if (caller === 'nobody' && isGuarded) return 401
  if (scope === 'operator') return caller === 'operator' ? 200 : 403
  if (scope === 'platform') return caller === 'operator' || caller === 'nobody' ? 200 : 403
  const isNamed = caller !== 'nobody' && caller !== 'operator' && caller !== 'run'
  if (scope.startsWith('named:') && !isNamed) return 403
  const rank = { nobody: 1, run: 0, operator: 3, viewer: 0, editor: 1, approver: 2, admin: 3 }[caller as 'nobody']
  if (scope === 'run') return caller === 'run' || rank >= 1 ? 200 : 403
  const needed = ['viewer', 'editor', 'approver', 'admin'].indexOf(scope.replace('named:', ''))
  return rank >= needed ? 200 : 403
}

/** Why, where it is not answered. */
function expectedCode(scope: string, caller: Caller, status: number): string | undefined {
  if (status === 403 && scope.startsWith('named:') && ['nobody', 'operator', 'run'].includes(caller))
    return 'auth.named_principal_needed'
  return { 401: 'auth.token_missing', 403: 'auth.scope_missing', 404: 'auth.project_not_found' }[status]
}

const CALLERS: Caller[] = [
  'nobody',
  'run',
  'foreign run',
  'operator',
  ...ROLES,
  ...ROLES.map((role): Caller => `foreign ${role}`),
]

/** Whoever is known elsewhere only asks for this project: the token of a run elsewhere would else be taken to its own. */
function headersOf(caller: Caller): Record<string, string> {
  return {
    ...(tokens[caller] ? { authorization: `Bearer ${tokens[caller]}` } : {}),
    ...(caller.startsWith('foreign') ? { 'x-plimsoll-project': 'default' } : {}),
  }
}

test.each(CALLERS)('every route answers %s as its scope says', async (caller) => {
  const wrong: string[] = []
  for (const kind of ['open', 'guarded'] as const) {
    for (const endpoint of endpoints) {
      const url = endpoint.path.replace(/:[a-zA-Z]+/g, 'x').replace('*', 'x')
      const answer = await servers[kind]!.inject({
        method: endpoint.method,
        url,
        headers: headersOf(caller),
      })
      const status = expected(endpoint.scope, caller, kind === 'guarded')
      const wanted = [status, expectedCode(endpoint.scope, caller, status)]
      const found = [answer.statusCode, (answer.json() as { code?: string }).code]
      if (found.join() !== wanted.join())
        wrong.push(`${kind} ${endpoint.method} ${endpoint.path} (${endpoint.scope}): ${found}, not ${wanted}`)
    }
  }
  expect(wrong).toEqual([])
})

test.each(CALLERS)('every route of the tracking surface answers %s as its access says', async (caller) => {
  const wrong: string[] = []
  for (const kind of ['open', 'guarded'] as const) {
    for (const { method, path, access } of MLFLOW) {
      const prefix = path.startsWith('/v3/') ? '/api/3.0' : '/api/2.0'
      const answer = await servers[kind]!.inject({
        method,
        url: `${prefix}${path
          .replace(/^\/v3/, '')
          .replace(/:[a-z_]+/g, 'x')
          .replace('*', 'x')}`,
        headers: { ...(method === 'GET' ? {} : { 'content-type': 'application/json' }), ...headersOf(caller) },
        ...(method === 'GET' ? {} : { payload: '{}' }),
      })
      // The token of a run writes what is its own: which that is, tracking says.
      const scope = access === 'read' ? 'viewer' : 'run'
      const wanted = expected(scope, caller, kind === 'guarded')
      if (answer.statusCode !== wanted) wrong.push(`${kind} ${method} ${path}: ${answer.statusCode}, not ${wanted}`)
    }
  }
  expect(wrong).toEqual([])
})

test('the token of a run acts in its own project where the request names none', async () => {
  const headers = { authorization: `Bearer ${tokens['foreign run']}` }
  const answer = await servers.guarded!.inject({ url: '/api/v1/whoami', headers })
  expect(answer.json()).toMatchObject({ as: expect.stringMatching(/^run:/), in: 'foreign' })
})

test('a foreign project and one that does not exist look the same', async () => {
  const ask = (project: string) =>
    servers.guarded!.inject({
      url: '/api/v1/whoami',
      headers: { authorization: `Bearer ${tokens.admin}`, 'x-plimsoll-project': project },
    })
  const [foreign, absent] = [await ask('foreign'), await ask('absent')]
  const text = (body: string, project: string) => body.replaceAll(project, 'P').replace(/req_[0-9a-f]+/g, 'R')
  expect(foreign.statusCode).toBe(404)
  expect(text(foreign.body, 'foreign')).toBe(text(absent.body, 'absent'))
})

test('figures of the whole platform are for a role on all projects, not for one of theirs', async () => {
  expect(endpoints.find((endpoint) => endpoint.path === '/metrics')?.scope).toBe('platform')
  const operator = database.ctx.as({ principal: { ...database.ctx.principal, id: 'operator' } })
  const admin = database.ctx.as({ principal: { ...database.ctx.principal, id: 'own-admin', role: 'admin' } })
  const wanted = { principal: 'scraper', name: 't', role: 'viewer' as const, days: 1, allProjects: true }
  await expect(createToken(admin, wanted)).rejects.toMatchObject({ kind: 'forbidden', code: 'auth.not_operator' })
  const { id, token } = await createToken(operator, wanted)
  const ask = (bearer: string | undefined) =>
    servers.guarded!.inject({ url: '/metrics', headers: { authorization: `Bearer ${bearer}` } })
  expect((await ask(token)).statusCode).toBe(200)
  const refused = await ask(tokens.admin)
  expect([refused.statusCode, refused.json()]).toMatchObject([403, { code: 'auth.scope_missing' }])
  // A project's admin neither sees nor ends it; the operator does.
  const isListed = async (ctx: Context) =>
    (await listTokens(ctx, { after: '', limit: 200 })).some((one) => one.id === id)
  expect([await isListed(admin), await isListed(operator)]).toEqual([false, true])
  await expect(revokeToken(admin, id)).rejects.toMatchObject({ code: 'auth.token_not_found' })
  await revokeToken(operator, id)
  expect((await ask(token)).statusCode).toBe(401)
})

test('projects are made by who has a role on all of them, not by an admin of one', async () => {
  const admin = database.ctx.as({ principal: { ...database.ctx.principal, id: 'own-admin', role: 'admin' } })
  await expect(createProject(admin, 'annexed')).rejects.toMatchObject({ kind: 'forbidden', code: 'auth.not_operator' })
  const made = database.ctx.db.selectFrom('auth_project').select('project').where('project', '=', 'annexed')
  expect(await made.execute()).toEqual([])
})

test('the ledger spans all projects: its routes are for no role of one', () => {
  const scopes = ['verify', 'repair-journal', 'rebuild'].map(
    (what) => endpoints.find((endpoint) => endpoint.path === `/api/v1/audit/${what}`)?.scope,
  )
  expect(scopes).toEqual(['platform', 'operator', 'operator'])
})

test('a viewer, and who is nobody, changes nothing: what they may ask for by another verb only reads', () => {
  const [reads, mlflowReads] = [
    endpoints.filter(({ scope }) => scope === 'viewer' || scope === 'public'),
    MLFLOW.filter(({ access }) => access === 'read'),
  ].map((table) => table.filter(({ method }) => method !== 'GET').map(({ method, path }) => `${method} ${path}`))
  expect(reads).toEqual(['POST /api/v1/blobs/missing', 'POST /api/v1/plan'])
  expect(mlflowReads).toEqual(
    ['experiments/search', 'runs/search', 'logged-models/search', 'registered-models/get-latest-versions'].map(
      (what) => `POST /mlflow/${what}`,
    ),
  )
})

test.each(['approve', 'release', 'rollback', 'retire'])('what can %s needs a named principal', (word) => {
  const paths = { approve: /\/approvals$/, release: /\/releases$/, rollback: /\/rollback$/, retire: /\/retire$/ }[word]!
  const found = endpoints.filter((endpoint) => endpoint.method === 'POST' && paths.test(endpoint.path))
  expect(found.map((endpoint) => endpoint.scope)).toEqual(['named:approver'])
})

test.each([
  [
    'a damaged token',
    'auth.token_malformed',
    (token: string) => `Bearer ${token.slice(0, -1)}${token.endsWith('0') ? '1' : '0'}`,
  ],
  ['an unknown token', 'auth.token_unknown', () => `Bearer ${formatToken('00'.repeat(32))}`],
  ['a token of somebody else', 'auth.token_malformed', () => 'Bearer bogus'],
  ['a scheme that we do not take', 'auth.scheme_unknown', () => 'Basic YTpi'],
  ['an empty header', 'auth.bad_header', () => ''],
  ['a token in the wrong place', 'auth.bad_header', (token: string) => token],
])('%s is refused even where no token is needed', async (_name, code, header) => {
  const answer = await servers.open!.inject({
    url: '/api/v1/whoami',
    headers: { authorization: header(tokens.admin!) },
  })
  expect([answer.statusCode, answer.json()]).toMatchObject([401, { code }])
  expect(answer.headers['www-authenticate']).toContain('Bearer')
  expect(answer.body).not.toContain(tokens.admin!)
})

test('a token that is none of this server is told as that, and whom to ask', async () => {
  const answer = await servers.open!.inject({ url: '/api/v1/whoami', headers: { authorization: 'Bearer bogus' } })
  expect(answer.json()).toMatchObject({
    code: 'auth.token_malformed',
    detail: 'The token is none of this server',
    action: expect.stringContaining('plimsoll token create NAME --role ROLE'),
  })
})

test('a token in the query is no token', async () => {
  expect((await servers.guarded!.inject({ url: `/api/v1/whoami?token=${tokens.admin}` })).statusCode).toBe(401)
})

test.each(['Default', '../x', 'a b', 'x'.repeat(64), 'a/b'])('the project name %j is refused', async (project) => {
  expect(
    (await servers.open!.inject({ url: '/api/v1/whoami', headers: { 'x-plimsoll-project': project } })).statusCode,
  ).toBe(400)
})
