import { promisify } from 'node:util'
import { deflate, gunzip, gzip, inflate } from 'node:zlib'
import { PlimsollError } from '../kernel/errors.ts'

const CODERS = {
  gzip: { compress: promisify(gzip), expand: promisify(gunzip) },
  deflate: { compress: promisify(deflate), expand: promisify(inflate) },
} as const

export type ContentCoding = keyof typeof CODERS

/** Below this a compressed answer saves nothing. */
const COMPRESS_BYTES_MIN = 1024

/**
 * Expands a request body; stops at `limitBytes`.
 * @throws media_type inference.encoding_unsupported · too_large inference.body_too_large · invalid inference.encoding_malformed
 */
export async function expandBody(
  body: Uint8Array,
  encoding: string | undefined,
  limitBytes: number,
): Promise<Uint8Array> {
  const name = encoding?.trim().toLowerCase() ?? ''
  if (name === '' || name === 'identity') return body
  if (name !== 'gzip' && name !== 'deflate') {
    throw new PlimsollError(
      'media_type',
      'inference.encoding_unsupported',
      `Cannot read Content-Encoding "${name.slice(0, 60)}": gzip and deflate are supported`,
      { accept: 'gzip, deflate' },
    )
  }
  try {
    return await CODERS[name].expand(body, { maxOutputLength: limitBytes })
  } catch (thrown) {
    if ((thrown as { code?: unknown }).code === 'ERR_BUFFER_TOO_LARGE') {
      throw new PlimsollError(
        'too_large',
        'inference.body_too_large',
        `Cannot read the body: it expands to more than ${limitBytes} bytes`,
      )
    }
    throw new PlimsollError(
      'invalid',
      'inference.encoding_malformed',
      `Cannot read the body: it is not ${name}`,
      {},
      thrown,
    )
  }
}

/** The coding that the client prefers among gzip, deflate and none, by its q-values; none only where it says so. */
export function chooseCoding(acceptEncoding: string | undefined): ContentCoding | undefined {
  if (acceptEncoding === undefined) return undefined
  let best: ContentCoding | undefined
  let bestWeight = 0
  let plainWeight = 0
  for (const item of acceptEncoding.slice(0, 1024).split(',')) {
    const [name, ...parameters] = item.split(';').map((part) => part.trim().toLowerCase())
    const q = parameters.find((parameter) => parameter.startsWith('q='))
    const weight = q === undefined ? 1 : Number(q.slice(2))
    if (name === 'identity') plainWeight = weight
    else if ((name === 'gzip' || name === 'deflate') && weight > bestWeight) {
      best = name
      bestWeight = weight
    }
  }
  return plainWeight > bestWeight ? undefined : best
}

export async function compressBody(
  body: Buffer,
  coding: ContentCoding | undefined,
): Promise<{ body: Buffer; coding?: ContentCoding }> {
  if (coding === undefined || body.length < COMPRESS_BYTES_MIN) return { body }
  return { body: await CODERS[coding].compress(body), coding }
}
