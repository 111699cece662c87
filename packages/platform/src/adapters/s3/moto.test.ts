import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CreateMultipartUploadCommand, ListMultipartUploadsCommand, UploadPartCommand } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { isThorough } from '../../../../../tests/servers.ts'
import { BLOB_STORE_CONTRACT } from '../../../../sdk/src/seams/blob-store.contract.ts'
import { manualClock } from '../../kernel/clock.ts'
import { emptyBucket, openSubject } from './blob-store.fixture.ts'
import { openS3BlobStore } from './blob-store.ts'
import type { S3Place } from './client.ts'
import { openMotoPython, startMoto } from './moto.fixture.ts'
import { startS3, type TestS3 } from './server.fixture.ts'

const MIB = 1 << 20
const DAY_MS = 24 * 3_600_000

function declare(python: string): void {
  let s3: TestS3
  let scratchDirectory: string
  beforeAll(async () => {
    s3 = await startS3(await startMoto(python))
    scratchDirectory = await mkdtemp(join(tmpdir(), 'plimsoll-moto-scratch-'))
  })
  afterAll(async () => {
    await s3?.close()
    await rm(scratchDirectory, { recursive: true, force: true })
  })
  beforeEach(() => emptyBucket(s3.client, s3.place.bucket))

  const options = (place: S3Place) => ({ ...place, scratchDirectory, partBytes: 5 * MIB })
  const uploads = async () =>
    (await s3.client.send(new ListMultipartUploadsCommand({ Bucket: s3.place.bucket }))).Uploads ?? []

  test.each(BLOB_STORE_CONTRACT)('$name', ({ run }) => run(() => openSubject(s3.client, options(s3.direct))))

  test.each([
    ['of one part', MIB, 'PUT', '412 PUT'],
    ['of two parts', 7 * MIB, 'POST?uploadId', '412 POST?uploadId'],
  ])(
    'two writers of a new blob %s: the server refuses the second, which is as good and leaves no part',
    async (_name, sizeBytes, last, refusal) => {
      const [one, two] = [await openS3BlobStore(options(s3.place)), await openS3BlobStore(options(s3.direct))]
      const content = Buffer.alloc(sizeBytes, 7)
      s3.before(last, () => two.put(content))
      s3.refusals()
      const stored = await one.put(content)
      expect(s3.refusals()).toEqual(['404 HEAD', refusal])
      expect(await one.stat(stored.digest)).toMatchObject({ sizeBytes })
      expect(await uploads()).toEqual([])
    },
  )

  test('an upload in parts that fails leaves none of them', async () => {
    const store = await openS3BlobStore({ ...options(s3.place), attemptsMax: 1 })
    s3.before('PUT?uploadId&partNumber', async () => s3.fail('PUT', 'unavailable', 1)) // the second part
    await expect(store.put(Buffer.alloc(7 * MIB))).rejects.toMatchObject({ kind: 'unavailable' })
    expect(s3.refusals()).toContain('503 PUT?uploadId&partNumber')
    expect(await uploads()).toEqual([])
  })

  test('an opening ends what a dead writer left unfinished, and leaves alone what is younger than a day', async () => {
    const upload = { Bucket: s3.place.bucket, Key: `sha256/${'0'.repeat(62)}` }
    const { UploadId } = await s3.client.send(new CreateMultipartUploadCommand(upload))
    await s3.client.send(new UploadPartCommand({ ...upload, UploadId, PartNumber: 1, Body: Buffer.alloc(MIB) }))
    const startedMs = (await uploads())[0]!.Initiated!.getTime() // of moto always the same, in 2010
    await openS3BlobStore({ ...options(s3.direct), clock: manualClock(startedMs + DAY_MS - 1_000) })
    expect(await uploads()).toHaveLength(1)
    await openS3BlobStore({ ...options(s3.direct), clock: manualClock(startedMs + DAY_MS) })
    expect(await uploads()).toEqual([])
  })

  test.each([
    ['secret', { secretAccessKey: 'wrong' }],
    ['name of a key', { accessKeyId: 'AKIAWRONG' }],
  ])('a wrong %s is refused by the server, which the opening says', async (_name, wrong) => {
    const credentials = { ...s3.direct.credentials!, ...wrong }
    const refused = { kind: 'unavailable', code: 'blob.s3_refused' }
    await expect(openS3BlobStore(options({ ...s3.direct, credentials }))).rejects.toMatchObject(refused)
  })
}

const title = 'S3 blob store on moto'
if (isThorough) {
  const found = await openMotoPython()
  if ('python' in found) describe(title, () => declare(found.python))
} else test.skip(`${title}: left out, PLIMSOLL_REQUIRE_SERVERS=1, as in .ci/run, installs moto`, () => {})
