import { Readable } from 'node:stream'
import type { BlobStore } from '@plimsoll/sdk/seams'
import { z } from 'zod'
import { PlimsollError } from '../errors.ts'
import { type AnyEndpoint, endpoint } from '../http/index.ts'

const BLOB_BYTES_MAX = 4 * 2 ** 30
const digestParam = z.strictObject({
  digest: z.string().regex(/^sha256:[0-9a-f]{64}$/, 'expected sha256: and 64 hex digits'),
})

/** Blobs by digest: what the CLI uploads before `apply`, and gateways fetch. */
export function blobEndpoints(deps: { blobs: BlobStore }): AnyEndpoint[] {
  return [
    endpoint({
      method: 'GET',
      path: '/api/v1/blobs/:digest',
      scope: 'viewer',
      summary: 'The bytes of a blob',
      params: digestParam,
      handler: async ({ params, reply }) => {
        const found = await deps.blobs.stat(params.digest)
        if (!found) throw new PlimsollError('not_found', 'blob.missing', `Cannot find blob ${params.digest}`)
        return reply
          .headers({
            'content-length': String(found.sizeBytes),
            'x-content-type-options': 'nosniff',
            'content-disposition': 'attachment',
            'content-security-policy': "sandbox; default-src 'none'",
          })
          .type('application/octet-stream')
          .send(Readable.from(deps.blobs.get(params.digest)))
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
      response: z.strictObject({ digest: z.string(), sizeBytes: z.int() }),
      handler: async ({ params, body }) => deps.blobs.put(body as unknown as Readable, { expected: params.digest }), // bodyKind makes it a stream
    }),
    endpoint({
      method: 'POST',
      path: '/api/v1/blobs/missing',
      scope: 'viewer',
      summary: 'Which of these blobs are not stored',
      body: z.strictObject({ digests: z.array(z.string().regex(/^sha256:[0-9a-f]{64}$/)).max(10_000) }),
      response: z.strictObject({ missing: z.array(z.string()) }),
      handler: async ({ body }) => {
        const missing: string[] = []
        for (const digest of new Set(body.digests)) if (!(await deps.blobs.stat(digest))) missing.push(digest)
        return { missing }
      },
    }),
  ]
}
