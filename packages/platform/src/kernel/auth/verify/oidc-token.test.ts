import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'
import { exportJWK, SignJWT } from 'jose'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { realClock } from '../../clock.ts'
import { type OidcOptions, openOidcVerifier } from './oidc-token.ts'

type Answer = (request: IncomingMessage, response: ServerResponse) => void

const CHUNK = Buffer.alloc(1 << 20, ' ')
/** An answer that is not read fills the buffers of two sockets, and no more. */
const UNREAD_MAX_BYTES = 32 << 20

const pair = generateKeyPairSync('ed25519')
let issuer: Server
let origin: string
let token: string
let answers: Record<string, Answer>
let asked: string[]
let sentBytes: number

const json = (value: unknown): Answer => {
  return (_request, response) => response.end(JSON.stringify(value))
}
const redirectTo = (location: string): Answer => {
  return (_request, response) => response.writeHead(302, { location }).end()
}
const status = (code: number): Answer => {
  return (_request, response) => response.writeHead(code).end('{}')
}
/** Text without an end, as fast as it is taken. */
const endless: Answer = async (_request, response) => {
  while (!response.destroyed) {
    sentBytes += CHUNK.length
    if (!response.write(CHUNK)) await Promise.race([once(response, 'drain'), once(response, 'close')])
  }
}
/** A few KiB that unpack to 16 MiB of blanks. */
const bomb: Answer = (_request, response) =>
  response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(Buffer.alloc(16 << 20, ' ')))
const silent: Answer = () => {}
const halfThenSilent: Answer = (_request, response) => response.write('{"issuer":')

beforeAll(async () => {
  issuer = createServer((request, response) => {
    asked.push(request.url ?? '')
    const answer = answers[request.url ?? '']
    if (answer) answer(request, response)
    else response.writeHead(404).end()
  })
  await once(issuer.listen(0, '127.0.0.1'), 'listening')
  origin = `http://127.0.0.1:${(issuer.address() as AddressInfo).port}`
  token = await new SignJWT({ email: 'bob@example.com', email_verified: true })
    .setProtectedHeader({ alg: 'EdDSA', kid: 'k1' })
    .setIssuer(origin)
    .setAudience('plimsoll')
    .setSubject('b')
    .setIssuedAt()
    .setExpirationTime('5m')
    .sign(pair.privateKey)
})
afterAll(() => {
  issuer.closeAllConnections()
  issuer.close()
})

const DISCOVERY = '/.well-known/openid-configuration'
beforeEach(async () => {
  asked = []
  sentBytes = 0
  const keys = { keys: [{ ...(await exportJWK(pair.publicKey)), kid: 'k1', alg: 'EdDSA' }] }
  answers = {
    [DISCOVERY]: json({ issuer: origin, jwks_uri: `${origin}/jwks` }),
    '/jwks': json(keys),
    '/moved': json({ issuer: origin, jwks_uri: `${origin}/jwks` }),
    '/moved-jwks': json(keys),
  }
})

const open = (change: Partial<OidcOptions> = {}) =>
  openOidcVerifier({ issuer: origin, audience: 'plimsoll', principalClaim: 'email', nowMs: realClock.nowMs, ...change })

const UNREACHABLE = {
  kind: 'unavailable',
  code: 'auth.oidc_unreachable',
  message: 'The issuer of identity tokens does not answer',
}

test('verify() finds the keys by discovery, and asks for both once', async () => {
  const verifier = open()
  expect(await verifier.verify(token)).toBe('bob@example.com')
  expect(await verifier.verify(token)).toBe('bob@example.com')
  expect(asked).toEqual([DISCOVERY, '/jwks'])
})

test('verify() takes the keys from where the configuration says, without discovery', async () => {
  expect(await open({ jwksUrl: `${origin}/jwks` }).verify(token)).toBe('bob@example.com')
  expect(asked).toEqual(['/jwks'])
})

test.each([
  'http://idp.example',
  'http://10.0.0.1:8080',
  'http://localhost.example',
  'ftp://idp.example',
  'file:///etc',
])('verify() asks nobody when the issuer is %s', async (issuer) => {
  const failure = open({ issuer }).verify(token)
  await expect(failure).rejects.toMatchObject({ ...UNREACHABLE, cause: { code: 'auth.oidc_url' } })
  await expect(open({ jwksUrl: `${issuer}/jwks` }).verify(token)).rejects.toMatchObject({
    ...UNREACHABLE,
    cause: { code: 'auth.oidc_url' },
  })
})

test('verify() does not go where discovery sends it in clear text', async () => {
  answers[DISCOVERY] = json({ issuer: origin, jwks_uri: 'http://10.0.0.1/jwks' })
  await expect(open().verify(token)).rejects.toMatchObject({ ...UNREACHABLE, cause: { code: 'auth.oidc_url' } })
})

const REFUSED: [string, () => Record<string, Answer>][] = [
  ['is a redirect', () => ({ [DISCOVERY]: redirectTo('/moved') })],
  ['of the keys is a redirect', () => ({ '/jwks': redirectTo('/moved-jwks') })],
  ['names another issuer', () => ({ [DISCOVERY]: json({ issuer: `${origin}/`, jwks_uri: `${origin}/jwks` }) })],
  ['names no keys', () => ({ [DISCOVERY]: json({ issuer: origin }) })],
  ['is null', () => ({ [DISCOVERY]: json(null) })],
  ['is no JSON', () => ({ [DISCOVERY]: (_request, response) => response.end('<html>') })],
  ['of the keys is no JSON', () => ({ '/jwks': (_request, response) => response.end('<html>') })],
  ['of the keys is no set of keys', () => ({ '/jwks': json({ keys: 'none' }) })],
  ['is an error', () => ({ [DISCOVERY]: status(500) })],
  ['of the keys is an error', () => ({ '/jwks': status(500) })],
  ['does not end', () => ({ [DISCOVERY]: endless })],
  ['of the keys does not end', () => ({ '/jwks': endless })],
  ['unpacks to more than is taken', () => ({ [DISCOVERY]: bomb })],
  ['of the keys unpacks to more than is taken', () => ({ '/jwks': bomb })],
]

test.each(REFUSED)('verify() says unavailable, and follows nothing, when the answer %s', async (_name, planted) => {
  Object.assign(answers, planted())
  await expect(open().verify(token)).rejects.toMatchObject(UNREACHABLE)
  expect(asked.filter((path) => path.startsWith('/moved'))).toEqual([])
  expect(sentBytes).toBeLessThan(UNREAD_MAX_BYTES)
})

test.each([
  ['says nothing', { [DISCOVERY]: silent }],
  ['stops in the middle', { [DISCOVERY]: halfThenSilent }],
  ['says nothing of its keys', { '/jwks': silent }],
])('verify() gives up on an issuer that %s', async (_name, planted) => {
  Object.assign(answers, planted)
  await expect(open({ timeoutMs: 50 }).verify(token)).rejects.toMatchObject(UNREACHABLE)
})

test('verify() asks again after an issuer was out of reach', async () => {
  const verifier = open()
  const found = answers[DISCOVERY]!
  answers[DISCOVERY] = status(503)
  await expect(verifier.verify(token)).rejects.toMatchObject(UNREACHABLE)
  answers[DISCOVERY] = found
  expect(await verifier.verify(token)).toBe('bob@example.com')
})
