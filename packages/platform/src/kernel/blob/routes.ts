import { Readable } from 'node:stream'
import type { BlobStore } from '@plimsoll/sdk/seams'
import { digest, missingBlobList, missingBlobsBody, storedBlob } from '@plimsoll/sdk/wire'
import type { FastifyReply } from 'fastify'
import { z } from 'zod'
import { type AnyEndpoint, endpoint } from '../http/index.ts'
import { missingBlob, readBlob } from './content.ts'
import { holdUpload, mayRead, missingBlobs } from './reach.ts'

const BLOB_BYTES_MAX = 4 * 2 ** 30
const READ_FIRST_BYTES_MAX = 2 ** 20
const digestParam = z.strictObject({ digest })

/** Bytes from strangers: a browser must neither guess their type nor run them. */
const CONTENT_HEADERS = {
  'accept-ranges': 'bytes',
  'cache-control': 'private, max-age=31536000, immutable',
  'x-content-type-options': 'nosniff',
  'content-disposition': 'attachment',
  'content-security-policy': "sandbox; default-src 'none'",
}

/**
 * One range of RFC 9110, section 14.1.2, with `end` exclusive. Anything else in the header (several ranges, other units)
 * may be ignored, and is.
 */
function parseRange(
  header: string | undefined,
  size: number,
): { start: number; end: number } | 'unsatisfiable' | undefined {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? '')
  if (!match || (match[1] === '' && match[2] === '')) return undefined
  const [first, last] = [match[1]!, match[2]!]
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first)
  const end = first === '' || last === '' ? size : Math.min(size, Number(last) + 1)
  if (first !== '' && last !== '' && Number(last) < start) return undefined
  return start < end ? { start, end } : 'unsatisfiable'
}

/** 416 belongs to ranges alone, so no kind of error has it. RFC 9110, section 15.5.17. */
function sendRangeProblem(reply: FastifyReply, instance: string, sizeBytes: number): FastifyReply {
  const detail = `Cannot send that range: the blob has ${sizeBytes} bytes`
  const code = 'blob.range_unsatisfiable'
  return reply
    .code(416)
    .header('content-range', `bytes */${sizeBytes}`)
    .type('application/problem+json')
    .send({ type: `/docs/errors#${code}`, title: 'There is no such range', status: 416, detail, instance, code })
}

/**
 * A small blob is read first, so that damage is told; of a larger one that is damaged the connection breaks off before
 * its end, since a store holds back the last bytes of what it reads whole until the digest is known to be right.
 */
async function wholeBlob(blobs: BlobStore, digest: string, sizeBytes: number): Promise<Buffer | Readable> {
  return sizeBytes > READ_FIRST_BYTES_MAX
    ? Readable.from(blobs.get(digest))
    : readBlob(blobs, digest, { maxBytes: READ_FIRST_BYTES_MAX })
}

/** Blobs by digest: what the CLI uploads before `apply`, and gateways fetch. A blob of another project is as one that is not there. */
export function blobEndpoints(deps: { blobs: BlobStore }): AnyEndpoint[] {
  return [
    endpoint({
      method: 'GET',
      path: '/api/v1/blobs/:digest',
      scope: 'viewer',
      summary: 'The bytes of a blob that the project holds',
      params: digestParam,
      response: 'application/octet-stream',
      handler: async ({ ctx, params: { digest }, request, reply }) => {
        const found = (await mayRead(ctx, digest)) ? await deps.blobs.stat(digest) : undefined
        if (!found) throw missingBlob(digest)
        const range = parseRange(request.headers.range, found.sizeBytes)
        reply.headers({ ...CONTENT_HEADERS, etag: `"${digest}"` })
        if (range === 'unsatisfiable') return sendRangeProblem(reply, request.id, found.sizeBytes)
        if (range === undefined) {
          const content = await wholeBlob(deps.blobs, digest, found.sizeBytes)
          return reply.header('content-length', String(found.sizeBytes)).send(content)
        }
        return reply
          .code(206)
          .header('content-range', `bytes ${range.start}-${range.end - 1}/${found.sizeBytes}`)
          .header('content-length', String(range.end - range.start))
          .send(Readable.from(deps.blobs.get(digest, range)))
      },
    }),
    endpoint({
      method: 'PUT',
      path: '/api/v1/blobs/:digest',
      scope: 'editor',
      summary: 'Store a blob; refused when its bytes have another digest',
      params: digestParam,
      bodyKind: 'stream',
      bodyLimitBytes: BLOB_BYTES_MAX,
      response: storedBlob,
      handler: async ({ ctx, params, body }) => {
        const stored = await deps.blobs.put(body as unknown as Readable, { expected: params.digest }) // bodyKind makes it a stream
        await holdUpload(ctx, deps.blobs, stored.digest)
        return stored
      },
    }),
    endpoint({
      method: 'POST',
      path: '/api/v1/blobs/missing',
      scope: 'viewer',
      summary: 'Which of these blobs the project has yet to upload',
      body: missingBlobsBody,
      response: missingBlobList,
      handler: async ({ ctx, body }) => ({ missing: await missingBlobs(ctx, deps.blobs, body.digests) }),
    }),
  ]
}
