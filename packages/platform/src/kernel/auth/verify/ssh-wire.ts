import { createHash, createPublicKey, type KeyObject } from 'node:crypto'
import { PlimsollError } from '../../errors.ts'

const FIELD_BYTES_MAX = 16 * 1024
const RSA_BITS_MIN = 2_048

function refuse(detail: string): never {
  throw new PlimsollError('invalid', 'auth.bad_ssh', `Cannot read the SSH data: ${detail}`)
}

/** Reads the binary fields of SSH's wire format, each bounded by what is left. @source RFC 4251, section 5 */
export class SshReader {
  readonly #bytes: Buffer
  #offset = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  take(count: number): Buffer {
    if (count > this.#bytes.length - this.#offset) refuse('it ends early')
    this.#offset += count
    return this.#bytes.subarray(this.#offset - count, this.#offset)
  }

  uint32(): number {
    return this.take(4).readUInt32BE(0)
  }

  field(): Buffer {
    const length = this.uint32()
    if (length > FIELD_BYTES_MAX) refuse('a field is too long')
    return this.take(length)
  }

  text(): string {
    return this.field().toString('latin1')
  }

  /** A positive integer without leading zeros. */
  integer(): Buffer {
    const bytes = this.field()
    let start = 0
    while (start < bytes.length - 1 && bytes[start] === 0) start++
    return bytes.subarray(start)
  }

  end(): void {
    if (this.#offset !== this.#bytes.length) refuse('it has bytes after its end')
  }
}

/** One field of SSH's wire format. */
export function sshField(content: Buffer | string): Buffer {
  const bytes = Buffer.isBuffer(content) ? content : Buffer.from(content, 'latin1')
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  return Buffer.concat([length, bytes])
}

const CURVES: Record<string, { name: string; bytes: number }> = {
  nistp256: { name: 'P-256', bytes: 32 },
  nistp384: { name: 'P-384', bytes: 48 },
  nistp521: { name: 'P-521', bytes: 66 },
}

export interface SshPublicKey {
  readonly algorithm: string
  readonly key: KeyObject
  /** As `ssh-keygen -l` prints it: `SHA256:` and base64 without padding. */
  readonly fingerprint: string
}

/** A public key in SSH's binary form: Ed25519, ECDSA on a NIST curve, or RSA of 2,048 bits and more. @throws invalid auth.bad_ssh */
export function parseSshKeyBlob(blob: Buffer): SshPublicKey {
  const reader = new SshReader(blob)
  const algorithm = reader.text()
  const jwk = jwkOf(algorithm, reader)
  reader.end()
  let key: KeyObject
  try {
    key = createPublicKey({ key: jwk, format: 'jwk' })
  } catch {
    refuse('the public key is not valid')
  }
  const bits = key.asymmetricKeyDetails?.modulusLength
  if (bits !== undefined && bits < RSA_BITS_MIN)
    refuse(`an RSA key needs ${RSA_BITS_MIN} bits, and this one has ${bits}`)
  return {
    algorithm,
    key,
    fingerprint: `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`,
  }
}

function jwkOf(algorithm: string, reader: SshReader): Record<string, string> {
  if (algorithm === 'ssh-ed25519') return { kty: 'OKP', crv: 'Ed25519', x: reader.field().toString('base64url') }
  if (algorithm === 'ssh-rsa') {
    const e = reader.integer().toString('base64url')
    return { kty: 'RSA', e, n: reader.integer().toString('base64url') }
  }
  const curve = CURVES[algorithm.replace('ecdsa-sha2-', '')]
  if (!algorithm.startsWith('ecdsa-sha2-') || curve === undefined)
    refuse('the key must be ssh-ed25519, ecdsa-sha2-nistp* or ssh-rsa')
  if (`ecdsa-sha2-${reader.text()}` !== algorithm) refuse('the key names another curve')
  const point = reader.field()
  if (point.length !== 1 + 2 * curve.bytes || point[0] !== 4) refuse('the point is not uncompressed')
  return {
    kty: 'EC',
    crv: curve.name,
    x: point.subarray(1, 1 + curve.bytes).toString('base64url'),
    y: point.subarray(1 + curve.bytes).toString('base64url'),
  }
}

/** A line of `id_ed25519.pub` or `authorized_keys` without options. @throws invalid auth.bad_ssh */
export function parseSshKeyLine(line: string): SshPublicKey & { blob: string } {
  const [algorithm, blob, ...comment] = line.trim().split(/\s+/)
  if (algorithm === undefined || blob === undefined || comment.length > 64 || !/^[A-Za-z0-9+/]+=*$/.test(blob))
    refuse('expected a line as in id_ed25519.pub')
  const parsed = parseSshKeyBlob(Buffer.from(blob, 'base64'))
  if (parsed.algorithm !== algorithm) refuse('the line names another kind of key than it holds')
  return { ...parsed, blob }
}
