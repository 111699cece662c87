import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { IdentityProvider } from '@plimsoll/sdk/seams'
import type { FastifyInstance } from 'fastify'
import { exportJWK, type JWTPayload, SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import {
  IDENTITY_PROVIDER_CONTRACT,
  type IdentityProviderSubject,
} from '../../../../sdk/src/seams/identity-provider.contract.ts'
import { canonicalJson } from '../canonical.ts'
import { realClock } from '../clock.ts'
import { settings } from '../config/index.ts'
import { openTestDatabase, type TestDatabase } from '../db/database.fixture.ts'
import type { Context } from '../db/index.ts'
import { endpoint, mountEndpoints, openHttp } from '../http/index.ts'
import { randomHex } from '../ids.ts'
import { silentLog } from '../log.ts'
import { removeGrant, revokeKey } from './grants.ts'
import {
  createProject,
  createToken,
  openAuthoriser,
  openOidcProvider,
  openSshProvider,
  openTokenProvider,
  registerKey,
  revokeToken,
  setGrant,
} from './index.ts'
import { presented } from './presented.fixture.ts'
import {
  formatSignedRequest,
  formatToken,
  type OidcVerifier,
  openOidcVerifier,
  type RequestStatement,
} from './verify/index.ts'
import { sshField } from './verify/ssh-wire.ts'

const HTTP = {
  http: settings.parse({}).http,
  host: '127.0.0.1',
  publicHosts: [],
  behindProxy: false,
  clock: realClock,
  log: silentLog,
}
let database: TestDatabase
let app: FastifyInstance
let issuerServer: Server
let issuer: string
let verifier: OidcVerifier
const ssh = generateKeyPairSync('ed25519')
const stranger = generateKeyPairSync('ed25519')
const oidc = generateKeyPairSync('rsa', { modulusLength: 2_048 })
let keyRequests = 0

function keyBlob(key: KeyObject): Buffer {
  return Buffer.concat([sshField('ssh-ed25519'), sshField(Buffer.from(key.export({ format: 'jwk' }).x!, 'base64url'))])
}

/** What ssh-keygen -Y sign does, here so that the test needs no program. */
function sshSign(key: { publicKey: KeyObject; privateKey: KeyObject }, message: string): string {
  const digest = createHash('sha512').update(message).digest()
  const signed = Buffer.concat([
    Buffer.from('SSHSIG'),
    sshField('plimsoll'),
    sshField(''),
    sshField('sha512'),
    sshField(digest),
  ])
  const signature = Buffer.concat([sshField('ssh-ed25519'), sshField(sign(null, signed, key.privateKey))])
  const blob = Buffer.concat([
    Buffer.from('SSHSIG'),
    Buffer.from([0, 0, 0, 1]),
    sshField(keyBlob(key.publicKey)),
    sshField('plimsoll'),
    sshField(''),
    sshField('sha512'),
    sshField(signature),
  ])
  return armoured(blob)
}

const armoured = (blob: Buffer) =>
  `-----BEGIN SSH SIGNATURE-----\n${blob.toString('base64')}\n-----END SSH SIGNATURE-----`

const sshLine = (key: typeof ssh) => `ssh-ed25519 ${keyBlob(key.publicKey).toString('base64')} alice@laptop`
const asAdmin = () =>
  database.ctx.as({ principal: { id: 'root', kind: 'user', named: true, role: 'admin', proof: 'none' } })

beforeAll(async () => {
  database = await openTestDatabase()
  const admin = asAdmin()
  await createProject(database.ctx.as({ principal: { ...database.ctx.principal, id: 'operator' } }), 'foreign')
  await registerKey(admin, 'alice', sshLine(ssh))
  await setGrant(admin, 'alice', 'approver')
  await setGrant(admin, 'bob@example.com', 'approver')
  const jwk = { ...(await exportJWK(oidc.publicKey)), kid: 'k1', alg: 'RS256' }
  issuerServer = createServer((request, response) => {
    response.setHeader('content-type', 'application/json')
    if (request.url === '/jwks') {
      keyRequests++
      response.end(JSON.stringify({ keys: [jwk] }))
    } else response.end(JSON.stringify({ issuer, jwks_uri: `${issuer}/jwks` }))
  })
  await new Promise<void>((resolve) => issuerServer.listen(0, '127.0.0.1', resolve))
  issuer = `http://127.0.0.1:${(issuerServer.address() as AddressInfo).port}`
  app = openHttp(HTTP)
  verifier = openOidcVerifier({ issuer, audience: 'plimsoll', principalClaim: 'email', nowMs: realClock.nowMs })
  const authoriser = openAuthoriser({
    ctx: database.ctx,
    requireToken: true,
    providers: [
      openTokenProvider(database.ctx),
      openSshProvider(database.ctx, 300_000),
      openOidcProvider(database.ctx, issuer, verifier),
    ],
  })
  const who = endpoint({
    method: 'POST',
    path: '/approve',
    scope: 'named:approver',
    summary: 'Approves',
    body: z.strictObject({ digest: z.string() }),
    response: z.strictObject({ by: z.string(), proof: z.string() }),
    handler: async ({ ctx }) => ({ by: ctx.principal.id, proof: ctx.principal.proof }),
  })
  mountEndpoints(app, [who], authoriser)
})
afterAll(async () => {
  await app.close()
  await database.close()
  issuerServer.close()
})

const BODY = '{"digest":"sha256:1"}'
const BODY_DIGEST = `sha256:${createHash('sha256').update(BODY).digest('hex')}`

async function approve(authorization: string, body = BODY) {
  const answer = await app.inject({
    method: 'POST',
    url: '/approve',
    headers: { authorization, 'content-type': 'application/json' },
    payload: body,
  })
  return { status: answer.statusCode, json: answer.json() as Record<string, string> }
}

function newStatement(change: Partial<RequestStatement>): RequestStatement {
  return {
    v: 1,
    principal: 'alice',
    request: 'POST /approve',
    host: 'localhost:80',
    project: 'default',
    body: BODY_DIGEST,
    at: new Date(realClock.nowMs()).toISOString(),
    nonce: randomHex(16),
    ...change,
  }
}

/** Value of `Authorization: Plimsoll-SSH`; `text` is what is sent of the statement, where that is not what was signed. */
function signedValue(
  key: typeof ssh,
  change: Partial<RequestStatement> = {},
  text?: (statement: RequestStatement) => string,
): string {
  const statement = newStatement(change)
  const signature = sshSign(key, canonicalJson(statement))
  return Buffer.from(JSON.stringify({ statement: text?.(statement) ?? canonicalJson(statement), signature })).toString(
    'base64',
  )
}

const signedBy = (...of: Parameters<typeof signedValue>) => `Plimsoll-SSH ${signedValue(...of)}`

test.each<[string, string, string, (admin: Context) => Promise<unknown>]>([
  ['a key that is another person’s', 'conflict', 'auth.key_taken', (admin) => registerKey(admin, 'bob', sshLine(ssh))],
  ['a line that is no key', 'invalid', 'auth.bad_ssh', (admin) => registerKey(admin, 'bob', 'ssh-ed25519 AAAA')],
  ['a key that is not there', 'not_found', 'auth.key_not_found', (admin) => revokeKey(admin, 'key_0')],
  ['a role that nobody has', 'not_found', 'auth.grant_not_found', (admin) => removeGrant(admin, 'eve')],
])('%s is refused as %s', async (_name, kind, code, change) => {
  await expect(change(asAdmin())).rejects.toMatchObject({ kind, code })
})

test('a request signed with a registered key acts as a named person, and its proof is kept', async () => {
  const answer = await approve(signedBy(ssh))
  expect(answer).toMatchObject({ status: 200, json: { by: 'alice', proof: expect.stringMatching(/^ssh:SHA256:/) } })
  const kept = await database.ctx.db.selectFrom('auth_signature').selectAll().execute()
  expect(kept).toMatchObject([{ principal: 'alice', project: 'default' }])
})

test('a signed request counts once', async () => {
  const header = signedBy(ssh)
  expect((await approve(header)).status).toBe(200)
  expect(await approve(header)).toMatchObject({ status: 401, json: { detail: expect.stringContaining('used before') } })
})

test.each([
  ['a key that nobody registered', () => signedBy(stranger), 'not registered'],
  ['a registered key in another name', () => signedBy(ssh, { principal: 'bob' }), 'not registered'],
  ['another route', () => signedBy(ssh, { request: 'POST /other' }), 'another request'],
  ['another server', () => signedBy(ssh, { host: 'other:80' }), 'another server'],
  ['another project', () => signedBy(ssh, { project: 'foreign' }), 'another project'],
  ['last hour', () => signedBy(ssh, { at: new Date(realClock.nowMs() - 3_600_000).toISOString() }), 'too old'],
  ['next hour', () => signedBy(ssh, { at: new Date(realClock.nowMs() + 3_600_000).toISOString() }), 'from the future'],
  ['nobody', () => signedBy(stranger, { principal: '\0' }), 'no name of a person'],
  ['another body', () => signedBy(ssh, { body: `sha256:${'0'.repeat(64)}` }), 'body is not the one'],
  [
    'a statement changed after signing',
    () => signedBy(ssh, {}, (statement) => canonicalJson({ ...statement, nonce: '0'.repeat(32) })),
    'does not fit',
  ],
])('a request signed for %s is refused', async (_name, header, detail) => {
  const answer = await approve(header())
  expect([answer.status, answer.json.code]).toEqual([401, 'auth.bad_signature'])
  expect(answer.json.detail).toContain(detail)
})

async function idToken(
  change: JWTPayload = {},
  options: { algorithm?: string; key?: KeyObject | Uint8Array; kid?: string } = {},
): Promise<string> {
  const now = Math.floor(realClock.nowMs() / 1_000)
  const claims = {
    iss: issuer,
    aud: 'plimsoll',
    sub: 'b',
    email: 'bob@example.com',
    email_verified: true,
    iat: now,
    exp: now + 300,
    ...change,
  }
  return new SignJWT(claims)
    .setProtectedHeader({ alg: options.algorithm ?? 'RS256', kid: options.kid ?? 'k1' })
    .sign(options.key ?? oidc.privateKey)
}

test('an ID token of the issuer acts as a named person', async () => {
  expect(await approve(`Bearer ${await idToken()}`)).toMatchObject({
    status: 200,
    json: { by: 'bob@example.com', proof: `oidc:${issuer}` },
  })
})

const unsigned = (claims: object) =>
  `${Buffer.from('{"alg":"none","kid":"k1"}').toString('base64url')}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.`

test.each([
  ['expired two minutes ago', () => idToken({ exp: Math.floor(realClock.nowMs() / 1_000) - 120 })],
  ['not valid yet', () => idToken({ nbf: Math.floor(realClock.nowMs() / 1_000) + 120 })],
  ['of another issuer', () => idToken({ iss: 'https://evil.example' })],
  ['for another audience', () => idToken({ aud: 'other' })],
  ['without an expiry', () => idToken({ exp: undefined as never })],
  ['with an address that is not verified', () => idToken({ email_verified: false })],
  ['without the claim', () => idToken({ email: undefined as never })],
  ['with a claim that is no name', () => idToken({ email: '../x' })],
  ['with a name of the platform', () => idToken({ email: 'Operator' })],
  ['with a blank in it', async () => (await idToken()).replace(/.{9}$/, ' $&')],
  [
    'signed by another key',
    () => idToken({}, { key: generateKeyPairSync('rsa', { modulusLength: 2_048 }).privateKey }),
  ],
  [
    'of HS256 with the public key as the secret',
    () =>
      idToken(
        {},
        { algorithm: 'HS256', key: Buffer.from(oidc.publicKey.export({ type: 'spki', format: 'pem' }) as string) },
      ),
  ],
  [
    'of algorithm none',
    async () =>
      unsigned({
        iss: issuer,
        aud: 'plimsoll',
        sub: 'b',
        email: 'bob@example.com',
        email_verified: true,
        iat: 1,
        exp: 9e9,
      }),
  ],
  ['with an unknown key id', () => idToken({}, { kid: 'k2' })],
  ['that is no token', async () => 'a.b.c'],
])('an ID token %s is refused', async (_name, token) => {
  expect(await approve(`Bearer ${await token()}`)).toMatchObject({ status: 401, json: { code: 'auth.oidc_refused' } })
})

test('unknown key ids do not make us ask its server again and again', async () => {
  const before = keyRequests
  for (let index = 0; index < 5; index++) await approve(`Bearer ${await idToken({}, { kid: `u${index}` })}`)
  expect(keyRequests - before).toBeLessThanOrEqual(1)
})

test('a person without a role may not know the project', async () => {
  expect(await approve(`Bearer ${await idToken({ email: 'eve@example.com' })}`)).toMatchObject({
    status: 404,
    json: {
      code: 'auth.project_not_found',
      detail: 'There is no project "default", or eve@example.com has no role on it',
    },
  })
})

test('a project that is not there is named, with the commands that list and make projects', async () => {
  const wanted = { principal: 'alice', name: 'test', role: 'approver', days: 1, allProjects: false } as const
  const { token } = await createToken(database.ctx.as({ project: 'ranking' }), wanted)
  const headers = { authorization: `Bearer ${token}`, 'x-plimsoll-project': 'ranking' }
  const answer = await app.inject({ method: 'POST', url: '/approve', headers, payload: {} })
  expect(answer.json()).toMatchObject({
    code: 'auth.project_not_found',
    detail: 'There is no project "ranking"',
    action: expect.stringMatching(/plimsoll project list .*plimsoll project create ranking$/),
  })
})

let names = 0
const newName = () => `person-${++names}@example.com`

async function openTokenSubject(): Promise<IdentityProviderSubject> {
  const ids = { first: newName(), second: newName() }
  const issued: string[] = []
  const issue = async (principal: string, days = 1) => {
    const wanted = { principal, name: 'contract', role: 'editor', days, allProjects: false } as const
    const { token, id } = await createToken(asAdmin(), wanted)
    if (principal === ids.first) issued.push(id)
    return presented(token)
  }
  return {
    provider: openTokenProvider(database.ctx),
    declares: {
      kind: 'token',
      named: true,
      isOneUse: false,
      isForOneRequest: false,
      isRevocable: true,
      isNameClaimed: false,
    },
    otherProject: 'foreign',
    make: async (person = 'first') => ({ presented: await issue(ids[person]), id: ids[person], role: 'editor' }),
    makeExpired: () => issue(ids.second, -1),
    makeUnknown: async () => presented(formatToken(randomHex(32))),
    revoke: async () => {
      for (const id of issued) await revokeToken(asAdmin(), id)
    },
  }
}

async function openSshSubject(): Promise<IdentityProviderSubject> {
  const newSigner = async () => {
    const [id, key] = [newName(), generateKeyPairSync('ed25519')]
    await setGrant(asAdmin(), id, 'approver')
    await registerKey(asAdmin().as({ project: 'foreign' }), id, sshLine(key)) // known there as well, without a role
    return { id, key, keyId: (await registerKey(asAdmin(), id, sshLine(key))).id }
  }
  const people = { first: await newSigner(), second: await newSigner() }
  const signed = (...of: Parameters<typeof signedValue>) => presented(signedValue(...of), { scheme: 'plimsoll-ssh' })
  const { id: principal, key } = people.first
  return {
    provider: openSshProvider(database.ctx, 300_000),
    declares: {
      kind: 'user',
      named: true,
      isOneUse: true,
      isForOneRequest: true,
      isRevocable: true,
      isNameClaimed: true,
    },
    otherProject: 'foreign',
    make: async (person = 'first') => ({
      presented: signed(people[person].key, { principal: people[person].id }),
      id: people[person].id,
      role: 'approver',
      bodyDigest: BODY_DIGEST,
    }),
    makeExpired: async () => signed(key, { principal, at: new Date(realClock.nowMs() - 3_600_000).toISOString() }),
    makeUnknown: async () => signed(stranger, { principal }),
    revoke: () => revokeKey(asAdmin(), people.first.keyId),
    makeCalled: async (id) => signed(key, { principal: id }),
    makeHostile: async () => [
      signed(stranger, { principal: '\0' }),
      signed(key, { principal: '\ud7ff' }, (statement) => JSON.stringify({ ...statement, principal: '\ud800' })),
      signed(key, { principal: people.second.id }),
      presented(formatSignedRequest(newStatement({ principal }), armoured(Buffer.alloc(0))), {
        scheme: 'plimsoll-ssh',
      }),
      presented(
        formatSignedRequest(newStatement({ principal }), armoured(Buffer.from('SSHSIG\0\0\0\u0001\0\0\0\u0001x'))),
        { scheme: 'plimsoll-ssh' },
      ),
    ],
  }
}

async function openOidcSubject(): Promise<IdentityProviderSubject> {
  const ids = { first: newName(), second: newName() }
  for (const id of Object.values(ids)) await setGrant(asAdmin(), id, 'approver')
  const token = async (...of: Parameters<typeof idToken>) => presented(await idToken(...of))
  const now = () => Math.floor(realClock.nowMs() / 1_000)
  const other = generateKeyPairSync('rsa', { modulusLength: 2_048 }).privateKey
  return {
    provider: openOidcProvider(database.ctx, issuer, verifier),
    declares: {
      kind: 'user',
      named: true,
      isOneUse: false,
      isForOneRequest: false,
      isRevocable: false,
      isNameClaimed: true,
    },
    otherProject: 'foreign',
    make: async (person = 'first') => ({
      presented: await token({ email: ids[person] }),
      id: ids[person],
      role: 'approver',
    }),
    makeExpired: () => token({ email: ids.first, exp: now() - 120 }),
    makeUnknown: () => token({ email: ids.first }, { key: other }),
    revoke: () => removeGrant(asAdmin(), ids.first),
    makeHostile: () =>
      Promise.all(
        [
          { email: { toString: 'x' } },
          { email: [ids.first] },
          { iss: [issuer] as never },
          { aud: ['other'] },
          { exp: 'never' as never },
        ].map((claims) => token({ email: ids.first, ...claims })),
      ),
    makeCalled: (id) => token({ email: id }),
  }
}

describe.each([
  ['tokens', openTokenSubject],
  ['SSH signatures', openSshSubject],
  ['OIDC', openOidcSubject],
])('the provider of %s', (_name, open) => {
  test.each(IDENTITY_PROVIDER_CONTRACT)('$name', ({ run }) => run(open))
})

test('credentials for one project go to it where the request names none, and to no other', async () => {
  const bound = openHttp(HTTP)
  const provider: IdentityProvider = {
    name: 'bound',
    identify: async () => ({
      principal: { id: 'run:1', kind: 'run', named: false, proof: 'none' },
      project: 'foreign',
      roleOn: async (project) => (project === 'foreign' ? 'viewer' : undefined),
    }),
  }
  const authoriser = openAuthoriser({ ctx: database.ctx, requireToken: true, providers: [provider] })
  const response = z.strictObject({ project: z.string() })
  const handler = async ({ ctx }: { ctx: Context }) => ({ project: ctx.project })
  mountEndpoints(
    bound,
    [endpoint({ method: 'GET', path: '/where', scope: 'viewer', summary: 'Says it', response, handler })],
    authoriser,
  )
  const ask = async (project: Record<string, string>) => {
    const answer = await bound.inject({ url: '/where', headers: { authorization: 'Any x', ...project } })
    return [answer.statusCode, (answer.json() as { project?: string }).project]
  }
  expect(await ask({})).toEqual([200, 'foreign'])
  expect(await ask({ 'x-mlflow-workspace': 'foreign' })).toEqual([200, 'foreign'])
  expect(await ask({ 'x-plimsoll-project': 'default' })).toEqual([404, undefined])
  await bound.close()
})

test('a provider that vouches for a body where none is compared ends the request', async () => {
  const careless = openHttp(HTTP)
  const provider: IdentityProvider = {
    name: 'careless',
    identify: async () => ({
      principal: { id: 'alice', kind: 'user', named: true, proof: 'none' },
      bodyDigest: BODY_DIGEST,
      roleOn: async () => 'admin',
    }),
  }
  const authoriser = openAuthoriser({ ctx: database.ctx, requireToken: true, providers: [provider] })
  const common = { method: 'POST', scope: 'admin', summary: 'Takes it', response: z.strictObject({}) } as const
  const handler = async () => ({})
  mountEndpoints(
    careless,
    [
      endpoint({ ...common, path: '/json', body: z.unknown(), handler }),
      endpoint({ ...common, path: '/stream', bodyKind: 'stream', bodyLimitBytes: 1_000, handler }),
    ],
    authoriser,
  )
  const send = async (url: string, payload: string) =>
    (
      await careless.inject({
        method: 'POST',
        url,
        headers: { authorization: 'Any x', 'content-type': 'application/json' },
        payload,
      })
    ).statusCode
  expect([await send('/json', BODY), await send('/json', '{}'), await send('/stream', BODY)]).toEqual([200, 401, 500])
  await careless.close()
})
