import { generateKeyPairSync } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { randomHex } from '../../ids.ts'
import {
  formatSignedRequest,
  formatToken,
  isTokenForm,
  newSigningKey,
  parseSignedRequest,
  parseSshKeyLine,
  type RequestStatement,
  signBytes,
  verifyBytes,
  verifySshSignature,
} from './index.ts'
import { OTHER_NAMESPACE, SSH_MESSAGE, SSH_VECTORS } from './ssh-vectors.fixture.ts'

const message = Buffer.from(SSH_MESSAGE)

test.each(SSH_VECTORS)('verifySshSignature() takes what OpenSSH made with $name', ({ publicKey, signature }) => {
  expect(verifySshSignature(signature, message).publicKey.fingerprint).toBe(parseSshKeyLine(publicKey).fingerprint)
})

test.each(SSH_VECTORS)('verifySshSignature() refuses another message under $name', ({ signature }) => {
  expect(() => verifySshSignature(signature, Buffer.from(`${SSH_MESSAGE}.`))).toThrow('does not fit')
})

test('verifySshSignature() refuses a signature made for another purpose', () => {
  expect(() => verifySshSignature(OTHER_NAMESPACE, message)).toThrow('another purpose')
})

test('verifySshSignature() answers any damage with a house error, never with success or another fault', () => {
  const { signature } = SSH_VECTORS[0]!
  const body = Buffer.from(signature.replace(/-----[A-Z ]+-----/g, '').replace(/\s/g, ''), 'base64')
  const armour = (bytes: Buffer) =>
    `-----BEGIN SSH SIGNATURE-----\n${bytes.toString('base64')}\n-----END SSH SIGNATURE-----`
  fc.assert(
    fc.property(fc.nat(body.length - 1), fc.integer({ min: 1, max: 255 }), fc.boolean(), (at, change, isCut) => {
      const bytes = Buffer.from(isCut ? body.subarray(0, at) : body)
      if (!isCut) bytes[at]! ^= change
      expect(() => verifySshSignature(armour(bytes), message)).toThrow(/^Cannot (?:accept|read)/)
    }),
    { numRuns: 2_000 },
  )
})

test.each([
  '',
  'ssh-ed25519',
  'ssh-ed25519 AAAA',
  'ssh-dss AAAAB3NzaC1kc3MAAAAA',
  'command="x" ssh-ed25519 AAAA',
  `ssh-rsa ${SSH_VECTORS[0]!.publicKey.split(' ')[1]}`,
  `ssh-ed25519 ${'A'.repeat(100_000)}`,
])('parseSshKeyLine() refuses %j', (line) => {
  const message = expect.stringContaining('Cannot read the SSH data')
  expect(() => parseSshKeyLine(line)).toThrow(expect.objectContaining({ code: 'auth.bad_ssh', message }))
})

test('parseSshKeyLine() refuses an RSA key of 1,024 bits', () => {
  const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 1_024 })
  const { n, e } = publicKey.export({ format: 'jwk' })
  const field = (bytes: Buffer) => Buffer.concat([Buffer.from([0, 0, bytes.length >> 8, bytes.length & 255]), bytes])
  const blob = Buffer.concat([
    field(Buffer.from('ssh-rsa')),
    field(Buffer.from(e!, 'base64url')),
    field(Buffer.concat([Buffer.from([0]), Buffer.from(n!, 'base64url')])),
  ])
  expect(() => parseSshKeyLine(`ssh-rsa ${blob.toString('base64')}`)).toThrow('2048 bits')
})

test('formatToken() makes what isTokenForm() takes, and any one changed character is seen', () => {
  const token = formatToken(randomHex(32))
  expect(token).toMatch(/^plim_[0-9A-Za-z]{49}$/)
  expect(isTokenForm(token)).toBe(true)
  for (let at = 5; at < token.length; at++) {
    const other = token[at] === 'a' ? 'b' : 'a'
    expect(isTokenForm(token.slice(0, at) + other + token.slice(at + 1))).toBe(false)
  }
  expect(isTokenForm('')).toBe(false)
})

test('formatToken() keeps the smallest and the largest secret apart and of equal length', () => {
  expect(formatToken('00'.repeat(32))).toHaveLength(54)
  expect(formatToken('ff'.repeat(32))).toHaveLength(54)
  expect(isTokenForm(formatToken('ff'.repeat(32)))).toBe(true)
})

test('verifyBytes() takes its own signature alone', () => {
  const [key, other] = [newSigningKey(), newSigningKey()]
  const bytes = Buffer.from('snapshot')
  const signature = signBytes(key, bytes)
  expect(verifyBytes(key.publicKey, bytes, signature)).toBe(true)
  expect(verifyBytes(other.publicKey, bytes, signature)).toBe(false)
  expect(verifyBytes(key.publicKey, Buffer.from('snapshoT'), signature)).toBe(false)
  expect(verifyBytes(key.publicKey, bytes, '')).toBe(false)
  const refused = (said: string) =>
    expect.objectContaining({ kind: 'invalid', code: 'auth.bad_key', message: expect.stringContaining(said) })
  expect(() => verifyBytes('AAAA', bytes, signature)).toThrow(refused('SPKI'))
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2_048 })
    .publicKey.export({ type: 'spki', format: 'der' })
    .toString('base64')
  expect(() => verifyBytes(rsa, bytes, signature)).toThrow(refused('not Ed25519'))
})

const statement: RequestStatement = {
  v: 1,
  principal: 'alice',
  request: 'POST /x',
  host: 'h:1',
  project: 'default',
  body: `sha256:${'0'.repeat(64)}`,
  at: '2026-01-01T00:00:00Z',
  nonce: '0'.repeat(32),
}

test('parseSignedRequest() reads what formatSignedRequest() wrote', () => {
  expect(parseSignedRequest(formatSignedRequest(statement, 'sig'))).toMatchObject({ statement, signature: 'sig' })
})

test.each([
  ['nothing', ''],
  ['text', 'hello'],
  [
    'another order of keys',
    Buffer.from(
      JSON.stringify({
        statement: JSON.stringify(Object.fromEntries(Object.entries(statement).reverse())),
        signature: '',
      }),
    ).toString('base64'),
  ],
  [
    'another key',
    Buffer.from(JSON.stringify({ statement: JSON.stringify({ ...statement, z: 1 }), signature: '' })).toString(
      'base64',
    ),
  ],
  ['too much', 'A'.repeat(20_000)],
  ['a NUL before the login', `\0${formatSignedRequest(statement, 'sig')}`],
  ['a blank in the login', formatSignedRequest(statement, 'sig').replace(/^./, '$& ')],
  ['text behind the padding', `${formatSignedRequest(statement, 'sig12')}\r\nX: y`],
])('parseSignedRequest() refuses %s', (_name, value) => {
  expect(() => parseSignedRequest(value)).toThrow('Cannot accept the signed request')
})
