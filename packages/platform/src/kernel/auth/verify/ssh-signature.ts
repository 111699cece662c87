import { createHash, verify } from 'node:crypto'
import { PlimsollError } from '../../errors.ts'
import { parseSshKeyBlob, type SshPublicKey, SshReader, sshField } from './ssh-wire.ts'

const MAGIC = 'SSHSIG'
const ARMOUR_CHARS_MAX = 8 * 1024
/** What our signatures are for; OpenSSH binds it into what is signed. */
export const SSH_NAMESPACE = 'plimsoll'

export interface SshSignature {
  readonly publicKey: SshPublicKey
  /** Base64 of the public key, as in a key line. */
  readonly blob: string
}

function refuse(detail: string): never {
  throw new PlimsollError('unauthenticated', 'auth.bad_signature', `Cannot accept the SSH signature: ${detail}`)
}

function unarmour(text: string): Buffer {
  if (text.length > ARMOUR_CHARS_MAX) refuse('it is too long')
  const match = /^-----BEGIN SSH SIGNATURE-----\s+([A-Za-z0-9+/=\s]+)-----END SSH SIGNATURE-----\s*$/.exec(text)
  if (match === null) refuse('it is not armoured as ssh-keygen -Y sign does')
  return Buffer.from(match[1]!.replace(/\s/g, ''), 'base64')
}

/**
 * Verifies what `ssh-keygen -Y sign -n plimsoll` made over the message, and returns the key that signed. Whether that
 * key may speak for anyone is for the caller to decide.
 *
 * @throws unauthenticated auth.bad_signature · invalid auth.bad_ssh
 * @source OpenSSH, PROTOCOL.sshsig
 */
export function verifySshSignature(armoured: string, message: Uint8Array): SshSignature {
  const reader = new SshReader(unarmour(armoured))
  if (reader.take(MAGIC.length).toString('latin1') !== MAGIC || reader.uint32() !== 1)
    refuse('it is not an SSH signature of version 1')
  const keyBlob = Buffer.from(reader.field())
  const namespace = reader.text()
  const reserved = reader.field()
  const hashName = reader.text()
  const signature = new SshReader(reader.field())
  reader.end()
  if (namespace !== SSH_NAMESPACE) refuse(`it was made for another purpose; sign with -n ${SSH_NAMESPACE}`)
  if (hashName !== 'sha256' && hashName !== 'sha512') refuse('its hash must be sha256 or sha512')
  const publicKey = parseSshKeyBlob(keyBlob)
  const digest = createHash(hashName).update(message).digest()
  const signed = Buffer.concat([
    Buffer.from(MAGIC, 'latin1'),
    sshField(namespace),
    sshField(reserved),
    sshField(hashName),
    sshField(digest),
  ])
  if (!verifyWith(publicKey, signed, signature)) refuse('it does not fit what was signed')
  return { publicKey, blob: keyBlob.toString('base64') }
}

const ECDSA_HASHES: Record<string, [string, number]> = {
  'ecdsa-sha2-nistp256': ['sha256', 32],
  'ecdsa-sha2-nistp384': ['sha384', 48],
  'ecdsa-sha2-nistp521': ['sha512', 66],
}

function verifyWith({ algorithm, key }: SshPublicKey, signed: Buffer, signature: SshReader): boolean {
  const format = signature.text()
  const bytes = Buffer.from(signature.field())
  signature.end()
  if (algorithm === 'ssh-rsa') {
    if (format !== 'rsa-sha2-256' && format !== 'rsa-sha2-512') refuse('an RSA signature must use SHA-2')
    return verify(format === 'rsa-sha2-256' ? 'sha256' : 'sha512', signed, key, bytes)
  }
  if (format !== algorithm) refuse('it names another algorithm than its key')
  if (algorithm === 'ssh-ed25519') return bytes.length === 64 && verify(null, signed, key, bytes)
  const [hash, size] = ECDSA_HASHES[algorithm] ?? refuse('its algorithm is not known')
  const pair = new SshReader(bytes)
  const halves = [pair.integer(), pair.integer()]
  pair.end()
  if (halves.some((half) => half.length > size)) refuse('its numbers are too large')
  const fixed = Buffer.concat(halves.map((half) => Buffer.concat([Buffer.alloc(size - half.length), half])))
  return verify(hash, signed, { key, dsaEncoding: 'ieee-p1363' }, fixed)
}
