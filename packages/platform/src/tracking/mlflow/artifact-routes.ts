import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { BlobStore } from '@plimsoll/sdk/seams'
import type { FastifyReply } from 'fastify'
import { PlimsollError } from '../../kernel/errors.ts'
import { artifactRoot, deleteArtifacts, listArtifacts, putArtifact, requireArtifact } from '../artifact.ts'
import { type ArtifactContent, type ArtifactMount, mountOf, refuseMounted, requireMounted } from '../artifact-mount.ts'
import { checkArtifactDirectory, checkArtifactPath, decodeArtifactPath } from '../artifact-path.ts'
import { missing, refusal } from '../failure.ts'
import { requireLoggedModel } from '../logged-model.ts'
import { requireRunRow } from '../run.ts'
import { type MlflowEndpoint, mlflowEndpoint, RawReply } from '../surface/endpoint.ts'
import { required, text } from '../surface/fields.ts'
import { wireFile } from '../wire.ts'

const PROXY = '/mlflow-artifacts/artifacts'
const MIME: Readonly<Record<string, string>> = {
  csv: 'text/csv',
  json: 'application/json',
  md: 'text/markdown',
  png: 'image/png',
  jpg: 'image/jpeg',
  jpeg: 'image/jpeg',
  txt: 'text/plain',
  log: 'text/plain',
  yaml: 'text/plain',
  yml: 'text/plain',
}

interface ByteRange {
  readonly start: number
  readonly end: number
}

/** One range of a `Range` header, or undefined for the whole. @throws invalid when it can not be satisfied */
export function parseRange(header: string | undefined, sizeBytes: number): ByteRange | undefined {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? '')
  if (!match || (match[1] === '' && match[2] === '')) return undefined
  const range =
    match[1] === ''
      ? { start: Math.max(0, sizeBytes - Number(match[2])), end: sizeBytes }
      : { start: Number(match[1]), end: match[2] === '' ? sizeBytes : Math.min(sizeBytes, Number(match[2]) + 1) }
  if (range.start >= range.end) throw refusal(`Invalid Range: the artifact has ${sizeBytes} bytes`)
  return range
}

/** Streams an artifact, or one range of it, as an attachment. */
export function sendArtifact(blobs: BlobStore, found: ArtifactContent, header: string | undefined): RawReply {
  const name = found.path.split('/').at(-1)!
  const wholeBytes = 'bytes' in found ? found.bytes.length : found.sizeBytes
  const range = parseRange(header, wholeBytes)
  const sizeBytes = range ? range.end - range.start : wholeBytes
  const plain = name.replaceAll(/[^\w. -]/g, '_')
  return new RawReply(async (reply: FastifyReply) => {
    // hijacked: the body is written as it is read, with the reader held back by the writer
    reply.hijack()
    reply.raw.writeHead(range ? 206 : 200, {
      'content-type': MIME[name.split('.').at(-1)!.toLowerCase()] ?? 'application/octet-stream',
      'content-length': String(sizeBytes),
      'content-disposition': `attachment; filename="${plain}"; filename*=UTF-8''${encodeURIComponent(name)}`,
      'x-content-type-options': 'nosniff',
      'content-security-policy': "sandbox; default-src 'none'",
      'accept-ranges': 'bytes',
      'cache-control': 'private, no-store',
      ...(range ? { 'content-range': `bytes ${range.start}-${range.end - 1}/${wholeBytes}` } : {}),
    })
    const content = 'bytes' in found ? [found.bytes.subarray(range?.start, range?.end)] : blobs.get(found.digest, range)
    await pipeline(Readable.from(content, { objectMode: false }), reply.raw)
  })
}

async function* bounded(stream: AsyncIterable<Uint8Array>, maxBytes: number): AsyncIterable<Uint8Array> {
  let size = 0
  for await (const chunk of stream) {
    size += chunk.length
    if (size > maxBytes)
      throw new PlimsollError(
        'too_large',
        'tracking.artifact_too_large',
        `Cannot store the artifact: it is larger than ${maxBytes} bytes`,
      )
    yield chunk
  }
}

function proxyEndpoints(
  blobs: BlobStore,
  { artifactMaxBytes: maxBytes, mounts }: { artifactMaxBytes: number; mounts: readonly ArtifactMount[] },
): MlflowEndpoint[] {
  return [
    mlflowEndpoint({
      method: 'PUT',
      path: `${PROXY}/*`,
      access: 'write',
      body: 'stream',
      fields: {},
      handler: async ({ ctx, rest, stream, request }) => {
        const path = decodeArtifactPath(rest)
        refuseMounted(mounts, path)
        const length = request.headers['content-length']
        const lengthBytes = length === undefined ? undefined : Number(length)
        await putArtifact(ctx, blobs, { path, content: bounded(stream, maxBytes), lengthBytes })
        return {}
      },
    }),
    mlflowEndpoint({
      method: 'GET',
      path: `${PROXY}/*`,
      access: 'read',
      body: 'stream',
      fields: {},
      handler: async ({ ctx, rest, request }) => {
        const path = decodeArtifactPath(rest)
        const mounted = mountOf(mounts, path)
        const found = mounted ? await requireMounted(ctx, mounted) : await requireArtifact(ctx, path)
        return sendArtifact(blobs, found, request.headers.range)
      },
    }),
    mlflowEndpoint({
      method: 'GET',
      path: PROXY,
      access: 'read',
      fields: { path: text() },
      handler: async ({ ctx, fields }) => {
        const path = checkArtifactDirectory(fields.path)
        const mounted = mountOf(mounts, path)
        const files = mounted ? await mounted.mount.list(ctx, mounted.rest) : await listArtifacts(ctx, path)
        return { files: files.map((file) => wireFile(file)) }
      },
    }),
    mlflowEndpoint({
      method: 'DELETE',
      path: `${PROXY}/*`,
      access: 'write',
      fields: {},
      handler: async ({ ctx, rest }) => {
        const path = decodeArtifactPath(rest)
        refuseMounted(mounts, path)
        await deleteArtifacts(ctx, path)
        return {}
      },
    }),
    ...(['create', 'complete', 'abort'] as const).map((verb) =>
      mlflowEndpoint({
        method: 'POST',
        path: `/mlflow-artifacts/mpu/${verb}/*`,
        access: 'write',
        fields: {},
        handler: async () => {
          // the client matches the beginning of this text and sends one PUT instead
          throw new PlimsollError(
            'unsupported',
            'tracking.no_multipart',
            'Multipart upload is not supported for the current artifact repository',
          )
        },
      }),
    ),
  ]
}

/** Listings by run, and the artifact proxy over the blob store. */
export function artifactEndpoints(deps: {
  blobs: BlobStore
  artifactMaxBytes: number
  mounts: readonly ArtifactMount[]
}): MlflowEndpoint[] {
  const { blobs } = deps
  return [
    mlflowEndpoint({
      method: 'GET',
      path: '/mlflow/artifacts/list',
      access: 'read',
      fields: { run_id: required(text()), path: text(), page_token: text() },
      handler: async ({ ctx, fields }) => {
        const below = checkArtifactDirectory(fields.path)
        const run = await requireRunRow(ctx, fields.run_id)
        const root = artifactRoot(run.artifact_uri)
        const files = root === undefined ? [] : await listArtifacts(ctx, below === '' ? root : `${root}/${below}`)
        return { root_uri: run.artifact_uri, files: files.map((file) => wireFile(file, below)) }
      },
    }),
    mlflowEndpoint({
      method: 'GET',
      path: '/get-artifact',
      access: 'read',
      fields: { run_id: required(text()), path: required(text()) },
      handler: async ({ ctx, fields, request }) => {
        const root = artifactRoot((await requireRunRow(ctx, fields.run_id)).artifact_uri)
        if (root === undefined) throw missing('artifact_not_found', 'The artifacts of this run are kept elsewhere')
        return sendArtifact(
          blobs,
          await requireArtifact(ctx, `${root}/${checkArtifactPath(fields.path)}`),
          request.headers.range,
        )
      },
    }),
    mlflowEndpoint({
      method: 'GET',
      path: '/mlflow/logged-models/:model_id/artifacts/files',
      access: 'read',
      fields: { artifact_file_path: required(text()) },
      handler: async ({ ctx, path, fields, request }) => {
        const root = artifactRoot((await requireLoggedModel(ctx, path['model_id']!)).artifact_uri)
        if (root === undefined) throw missing('artifact_not_found', 'The artifacts of this model are kept elsewhere')
        return sendArtifact(
          blobs,
          await requireArtifact(ctx, `${root}/${checkArtifactPath(fields.artifact_file_path)}`),
          request.headers.range,
        )
      },
    }),
    ...proxyEndpoints(blobs, deps),
  ]
}
