import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto'
import { PlimsollError } from '../../errors.ts'

/** An Ed25519 pair in portable text: PKCS #8 and SPKI, DER, base64. `keyId` is the SHA-256 of the public part. */
export interface SigningKey {
  readonly keyId: string
  readonly publicKey: string
  readonly privateKey: string
}

export function newSigningKey(): SigningKey {
  const pair = generateKeyPairSync('ed25519')
  const publicKey = pair.publicKey.export({ type: 'spki', format: 'der' }).toString('base64')
  return {
    keyId: keyIdOf(publicKey),
    publicKey,
    privateKey: pair.privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64'),
  }
}

export function keyIdOf(publicKey: string): string {
  return `sha256:${createHash('sha256').update(Buffer.from(publicKey, 'base64')).digest('hex')}`
}

/** Ed25519 signature of the bytes, base64. */
export function signBytes(key: SigningKey, bytes: Uint8Array): string {
  return sign(
    null,
    bytes,
    createPrivateKey({ key: Buffer.from(key.privateKey, 'base64'), type: 'pkcs8', format: 'der' }),
  ).toString('base64')
}

/** False when a part of it is not what the others say: its signatures would be refused, or nobody's. */
export function isWholeKey(key: SigningKey): boolean {
  const probe = Buffer.from('plimsoll')
  try {
    return key.keyId === keyIdOf(key.publicKey) && verifyBytes(key.publicKey, probe, signBytes(key, probe))
  } catch {
    return false
  }
}

/** True when the signature is by that key. A key of another kind is refused. @throws invalid auth.bad_key */
export function verifyBytes(publicKey: string, bytes: Uint8Array, signature: string): boolean {
  let key: ReturnType<typeof createPublicKey>
  try {
    key = createPublicKey({ key: Buffer.from(publicKey, 'base64'), type: 'spki', format: 'der' })
  } catch (error) {
    throw new PlimsollError(
      'invalid',
      'auth.bad_key',
      'Cannot read the public key: it is not SPKI in base64',
      {},
      error,
    )
  }
  if (key.asymmetricKeyType !== 'ed25519')
    throw new PlimsollError('invalid', 'auth.bad_key', 'Cannot use the public key: it is not Ed25519')
  const bytesOfSignature = Buffer.from(signature, 'base64')
  return bytesOfSignature.length === 64 && verify(null, bytes, key, bytesOfSignature)
}
