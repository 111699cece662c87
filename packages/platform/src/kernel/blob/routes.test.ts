import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BlobStore } from '@plimsoll/sdk/seams'
import Fastify, { type FastifyInstance } from 'fastify'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { openFilesBlobStore } from '../../adapters/files/index.ts'
import { openTestDatabase, type TestDatabase } from '../db/database.fixture.ts'
import type { Context } from '../db/index.ts'
import { digestBytes } from '../digest.ts'
import { ERROR_KINDS, toPlimsollError } from '../errors.ts'
import { mountEndpoints } from '../http/mount-endpoints.ts'
import { blobEndpoints, pinBlobs, unpinBlobs } from './index.ts'

let root: string
let app: FastifyInstance
let database: TestDatabase
let blobs: BlobStore
/** Who asks. */
let ctx: Context
const scopes: string[] = []
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'plimsoll-blob-routes-'))
  database = await openTestDatabase()
  blobs = await openFilesBlobStore(root)
  app = Fastify()
  app.setErrorHandler((error, _request, reply) => {
    const { kind, code } = toPlimsollError(error)
    return reply.code(ERROR_KINDS[kind].status).send({ code })
  })
  const authorise = async (_request: unknown, scope: string) => {
    scopes.push(scope)
    return ctx
  }
  mountEndpoints(app, blobEndpoints({ blobs }), { authorise })
  await app.ready()
})
afterAll(async () => {
  await app.close()
  await database.close()
  await rm(root, { recursive: true, force: true })
})

beforeEach(async () => {
  await database.clear()
  ctx = database.ctx
})

const body = Buffer.from('0123456789')
const digest = digestBytes(body)
const put = (name: string, payload: Buffer) =>
  app.inject({
    method: 'PUT',
    url: `/api/v1/blobs/${name}`,
    payload,
    headers: { 'content-type': 'application/octet-stream' },
  })
const get = (range?: string) =>
  app.inject({ method: 'GET', url: `/api/v1/blobs/${digest}`, headers: range === undefined ? {} : { range } })

test('a blob is put under its digest only, and got back with headers that keep a browser from running it', async () => {
  expect((await get()).json()).toEqual({ code: 'blob.missing' })
  expect((await put(digest, Buffer.from('other'))).statusCode).toBe(400)
  expect((await put('sha256:x', body)).statusCode).toBe(400)
  const stored = await put(digest, body)
  expect([stored.statusCode, stored.json()]).toEqual([200, { digest, sizeBytes: 10 }])
  const got = await get()
  expect(got.rawPayload.equals(body)).toBe(true)
  expect(got.headers).toMatchObject({
    'content-length': '10',
    'x-content-type-options': 'nosniff',
    'content-disposition': 'attachment',
    etag: `"${digest}"`,
  })
  expect(scopes).toContain('viewer')
  expect(scopes).toContain('editor')
})

test.each(['bytes=10-', 'bytes=-0'])('range %s gives 416 and says how many bytes there are', async (range) => {
  await put(digest, body)
  const got = await get(range)
  expect([got.statusCode, got.headers['content-range']]).toEqual([416, 'bytes */10'])
  expect(got.json()).toMatchObject({ status: 416, code: 'blob.range_unsatisfiable' })
})

test.each([
  ['bytes=2-4', 206, '234', 'bytes 2-4/10'],
  ['bytes=7-', 206, '789', 'bytes 7-9/10'],
  ['bytes=-3', 206, '789', 'bytes 7-9/10'],
  ['bytes=-100', 206, '0123456789', 'bytes 0-9/10'],
  ['bytes=8-100', 206, '89', 'bytes 8-9/10'],
  ['bytes=4-2', 200, '0123456789', undefined],
  ['bytes=0-1,3-4', 200, '0123456789', undefined],
  ['items=0-1', 200, '0123456789', undefined],
  [`bytes=${'9'.repeat(40)}-`, 200, '0123456789', undefined],
])('range %s gives %i', async (range, status, text, contentRange) => {
  await put(digest, body)
  const got = await get(range)
  expect([got.statusCode, got.body, got.headers['content-range']]).toEqual([status, text, contentRange])
})

test('missing lists each digest that is not stored once', async () => {
  await put(digest, body)
  const absent = digestBytes('absent')
  const answer = await app.inject({
    method: 'POST',
    url: '/api/v1/blobs/missing',
    payload: { digests: [digest, absent, absent] },
  })
  expect(answer.json()).toEqual({ missing: [absent] })
  expect(
    (await app.inject({ method: 'POST', url: '/api/v1/blobs/missing', payload: { digests: ['../x'] } })).statusCode,
  ).toBe(400)
})

const ask = async (digests: readonly string[]) => {
  const answers = await Promise.all(digests.map((name) => app.inject({ method: 'GET', url: `/api/v1/blobs/${name}` })))
  const listed = await app.inject({ method: 'POST', url: '/api/v1/blobs/missing', payload: { digests } })
  return [answers.map((answer) => answer.statusCode), listed.json().missing]
}

test('a blob of another project is as one that is not there, until this project uploads it too', async () => {
  await put(digest, body)
  expect(await ask([digest])).toEqual([[200], []])
  ctx = database.ctx.as({ project: 'other' })
  const foreign = await get()
  const absent = await app.inject({ method: 'GET', url: `/api/v1/blobs/${digestBytes('absent')}` })
  expect([foreign.statusCode, foreign.body]).toEqual([absent.statusCode, absent.body])
  expect((await get('bytes=99-')).statusCode).toBe(404)
  expect(await ask([digest])).toEqual([[404], [digest]])
  expect((await put(digest, body)).statusCode).toBe(200)
  expect(await ask([digest])).toEqual([[200], []])
})

test('what the rows of a project name it reads, and what its manifests name; the operator reads all', async () => {
  const [manifest, file] = [
    (await blobs.put(Buffer.from('manifest'))).digest,
    (await blobs.put(Buffer.from('file'))).digest,
  ]
  const both = [manifest, file]
  const pin = (project: string, owner: string, parts?: ReadonlyMap<string, readonly string[]>) =>
    database.ctx
      .as({ project })
      .transaction((tx) => pinBlobs(tx, blobs, { owner, digests: [manifest], ...(parts ? { parts } : {}) }))
  await pin('default', 'run', new Map([[manifest, [file]]]))
  expect(await ask(both)).toEqual([[200, 200], []])
  // Naming the manifest is not enough to reach what it names.
  await pin('other', 'version')
  ctx = database.ctx.as({ project: 'other' })
  expect(await ask(both)).toEqual([[200, 404], [file]])
  await pin('other', 'run', new Map([[manifest, [file]]]))
  expect((await ask(both))[0]).toEqual([200, 200])
  await ctx.transaction((tx) => unpinBlobs(tx, 'run', 'version'))
  expect(await ask(both)).toEqual([[404, 404], both])
  ctx = ctx.as({ principal: { ...ctx.principal, id: 'operator' } })
  expect(await ask(both)).toEqual([[200, 200], both])
})

test('an upload is the project’s own for a while only, and a lost blob is missing whoever holds it', async () => {
  await put(digest, body)
  await database.ctx.db
    .updateTable('blob_pin')
    .set({ expires_at: new Date(0) })
    .execute()
  expect(await ask([digest])).toEqual([[404], [digest]])
  await put(digest, body)
  await blobs.delete(digest)
  expect(await ask([digest])).toEqual([[404], [digest]])
})
