import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BlobStore } from '@plimsoll/sdk/seams'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { openFilesBlobStore } from '../../adapters/files/index.ts'
import { newSigningKey } from '../../kernel/auth/verify/index.ts'
import { openTestDatabase, type TestDatabase } from '../../kernel/db/database.fixture.ts'
import type { Context } from '../../kernel/db/index.ts'
import { digestValue } from '../../kernel/digest.ts'
import { openTestApi, type TestApi } from '../../kernel/http/http.fixture.ts'
import { frame } from '../gateway/segment-frame.ts'
import { findPredictions, requirePrediction, servingEndpoints } from './index.ts'
import { AT_MS, bootOf, recordOf, segmentOf, shipSegment } from './segment.fixture.ts'
import { commitSegment, decodeSegment } from './segment.ts'

const HOUR_MS = 3_600_000
const directory = mkdtempSync(join(tmpdir(), 'plimsoll-segment-'))
let database: TestDatabase
let ctx: Context
let blobs: BlobStore
let api: TestApi
beforeAll(async () => {
  database = await openTestDatabase()
  ctx = database.ctx
  blobs = await openFilesBlobStore(directory)
  const deps = {
    blobs,
    signingKey: newSigningKey(),
    replay: undefined,
    requireToken: false,
    inflightMax: 8,
    payloadRate: 0,
  }
  api = openTestApi(servingEndpoints(deps), () => ctx)
})
beforeEach(() => database.clear())
afterAll(async () => {
  await api.close()
  await blobs.close()
  await database.close()
  rmSync(directory, { recursive: true, force: true })
})

const counts = async () =>
  (
    await ctx.db
      .selectFrom('prediction_count')
      .select(['project', 'route', 'release', 'arm', 'hour_ms', 'predictions', 'row_count'])
      .orderBy('project')
      .orderBy('route')
      .orderBy('arm')
      .orderBy('hour_ms')
      .execute()
  ).map((row) => [
    `${row.project}/${row.route}/${row.release}/${row.arm}`,
    (Number(row.hour_ms) - AT_MS + HOUR_MS / 2) / HOUR_MS,
    Number(row.predictions),
    Number(row.row_count),
  ])
const placeOf = (digest: string) => join(directory, 'sha256', digest.slice(7, 9), digest.slice(9))

test('decodeSegment() reads what the gateway framed, and names what it cannot', () => {
  const records = [recordOf(), recordOf({ rows: 3, outputs: { p: [0.1, 0.2, 0.3] }, payload: { rows: [] } })]
  expect(decodeSegment(segmentOf(records))).toEqual(records)
  expect(decodeSegment(Buffer.alloc(0))).toEqual([])
  const damaged = { kind: 'invalid', code: 'serving.segment_damaged' }
  const torn = segmentOf(records).subarray(0, -1)
  expect(() => decodeSegment(torn)).toThrow(
    expect.objectContaining({ ...damaged, message: expect.stringContaining('no whole frame') }),
  )
  expect(() => decodeSegment(segmentOf([records[0]!, { id: 'x' }]))).toThrow(
    expect.objectContaining({ ...damaged, message: expect.stringContaining('record 1') }),
  )
  expect(() => decodeSegment(frame(Buffer.from('{no json')))).toThrow(expect.objectContaining(damaged))
})

test('decodeSegment() parses of other records nothing, and finds an id wherever its record has it', () => {
  const [one, two, last] = [recordOf(), recordOf(), recordOf()]
  const { id, ...rest } = last
  const bytes = segmentOf([one, { id: two.id }, { ...rest, id }])
  expect(() => decodeSegment(bytes)).toThrow(expect.objectContaining({ code: 'serving.segment_damaged' }))
  expect(decodeSegment(bytes, new Set([one.id]))).toEqual([one, last])
  expect(decodeSegment(bytes, new Set([recordOf().id]))).toEqual([last])
  expect(() => decodeSegment(bytes, new Set([two.id]))).toThrow(expect.objectContaining({ kind: 'invalid' }))
  expect(() => decodeSegment(bytes.subarray(1), new Set([one.id]))).toThrow(
    expect.objectContaining({ kind: 'invalid' }),
  )
})

test('commitSegment() counts by project, route, release, arm and hour', async () => {
  const shipped = await shipSegment(ctx, blobs, [
    recordOf(),
    recordOf({ rows: 4 }),
    recordOf({ atMs: AT_MS + HOUR_MS }),
    recordOf({ arm: 'challenger' }),
    recordOf({ route: 'other', project: 'second' }),
  ])
  expect(shipped).toBe(true)
  expect(await counts()).toEqual([
    ['default/delay/rel_1/challenger', 0, 1, 1],
    ['default/delay/rel_1/champion', 0, 2, 5],
    ['default/delay/rel_1/champion', 1, 1, 1],
    ['second/other/rel_1/champion', 0, 1, 1],
  ])
})

test('commitSegment() takes a segment once by gateway, boot and sequence', async () => {
  const one = [recordOf(), recordOf()]
  expect(await shipSegment(ctx, blobs, one)).toBe(true)
  expect(await shipSegment(ctx, blobs, one)).toBe(false)
  expect(await counts()).toEqual([['default/delay/rel_1/champion', 0, 2, 2]])
  const others = [{ sequence: 1 }, { boot: bootOf('b') }, { gateway: 'gw-2' }]
  for (const key of others) expect(await shipSegment(ctx, blobs, [recordOf()], key)).toBe(true)
  expect(await counts()).toEqual([['default/delay/rel_1/champion', 0, 5, 5]])
})

test('a segment that arrives twice at once is counted once', async () => {
  const records = [recordOf()]
  const taken = await Promise.all([shipSegment(ctx, blobs, records), shipSegment(ctx, blobs, records)])
  expect(taken.sort()).toEqual([false, true])
  expect(await counts()).toEqual([['default/delay/rel_1/champion', 0, 1, 1]])
})

test('commitSegment() counts nothing when its transaction throws', async () => {
  const records = [recordOf()]
  const stored = await blobs.put(segmentOf(records))
  const broken = ctx.transaction(async (tx) => {
    await commitSegment(tx, blobs, { gateway: 'gw', boot: bootOf('a'), sequence: 0 }, stored, records)
    throw new Error('after it')
  })
  await expect(broken).rejects.toThrow('after it')
  expect(await counts()).toEqual([])
  expect(await shipSegment(ctx, blobs, records)).toBe(true)
})

test('findPredictions() finds records by the time of their ids, in segments far apart', async () => {
  const [early, late] = [recordOf(), recordOf({ atMs: AT_MS + 1_000 * HOUR_MS })]
  const between = recordOf({ atMs: AT_MS + 500 * HOUR_MS })
  await shipSegment(ctx, blobs, [recordOf(), early])
  await shipSegment(ctx, blobs, [between], { sequence: 1 })
  await shipSegment(ctx, blobs, [late], { sequence: 2 })
  const { found, damaged } = await findPredictions(ctx, blobs, new Set([early.id, late.id, 'no id', recordOf().id]))
  expect([...found.keys()]).toEqual([early.id, late.id])
  expect(found.get(late.id)).toEqual({ record: late, segment: (await blobs.put(segmentOf([late]))).digest })
  expect(damaged).toEqual([])
  expect((await findPredictions(ctx, blobs, new Set(['no id']))).found.size).toBe(0)
})

test('findPredictions() finds a record whose id is far older or younger than its time, alone in its segment', async () => {
  const [early, late] = [recordOf({ atMs: AT_MS - HOUR_MS }), recordOf({ atMs: AT_MS + HOUR_MS })]
  await shipSegment(ctx, blobs, [{ ...early, atMs: AT_MS }])
  await shipSegment(ctx, blobs, [{ ...late, atMs: AT_MS + 60_000 }], { sequence: 1 })
  const { found } = await findPredictions(ctx, blobs, new Set([early.id, late.id]))
  expect([...found.keys()]).toEqual([early.id, late.id])
})

test('findPredictions() shows a project its own predictions only', async () => {
  const [own, foreign] = [recordOf(), recordOf({ project: 'second' })]
  await shipSegment(ctx, blobs, [own, foreign])
  const ids = new Set([own.id, foreign.id])
  expect([...(await findPredictions(ctx, blobs, ids)).found.keys()]).toEqual([own.id])
  expect([...(await findPredictions(ctx.as({ project: 'second' }), blobs, ids)).found.keys()]).toEqual([foreign.id])
})

test('a segment that cannot be read takes only its own predictions with it, and is named', async () => {
  const [kept, altered] = [recordOf(), recordOf()]
  await shipSegment(ctx, blobs, [altered])
  await shipSegment(ctx, blobs, [kept], { sequence: 1 })
  const { digest } = await blobs.put(segmentOf([altered]))
  writeFileSync(placeOf(digest), segmentOf([recordOf()]))
  expect(await requirePrediction(ctx, blobs, kept.id)).toMatchObject({ record: { id: kept.id } })
  await expect(requirePrediction(ctx, blobs, altered.id)).rejects.toMatchObject({
    kind: 'conflict',
    code: 'serving.segment_unreadable',
    message: expect.stringContaining(digest),
  })
  rmSync(placeOf(digest))
  expect(await requirePrediction(ctx, blobs, kept.id)).toMatchObject({ record: { id: kept.id } })
  await expect(requirePrediction(ctx, blobs, altered.id)).rejects.toMatchObject({
    code: 'serving.segment_unreadable',
    message: expect.stringContaining('missing'),
  })
})

test('requirePrediction() tells an id that is none from one that is unknown', async () => {
  await expect(requirePrediction(ctx, blobs, '1; drop table')).rejects.toMatchObject({
    kind: 'invalid',
    code: 'serving.bad_prediction_id',
  })
  await expect(requirePrediction(ctx, blobs, recordOf().id)).rejects.toMatchObject({
    kind: 'not_found',
    code: 'serving.prediction_unknown',
  })
})

test('the routes take segments once, and refuse what is damaged, misnamed or too far', async () => {
  const record = recordOf()
  const put = (bytes: Uint8Array, key = `gw/${bootOf('a')}/0`) =>
    api.call('PUT', `/api/v1/serving/segments/${key}`, bytes)
  expect(await put(segmentOf([record]))).toMatchObject({ status: 200, json: { records: 1 } })
  expect(await put(segmentOf([record]))).toMatchObject({ status: 200, json: { records: 1 } })
  expect(await counts()).toEqual([['default/delay/rel_1/champion', 0, 1, 1]])
  expect(await put(Buffer.alloc(0), `gw/${bootOf('a')}/1`)).toMatchObject({ status: 200, json: { records: 0 } })
  const refused = [Buffer.from('no frame'), frame(Buffer.from('no json')), segmentOf([{ ...record, artifact: 'x' }])]
  for (const bytes of refused)
    expect(await put(bytes, `gw/${bootOf('a')}/2`)).toMatchObject({
      status: 400,
      json: { code: 'serving.segment_damaged' },
    })
  for (const key of [`GW/${bootOf('a')}/0`, 'gw/boot_1/0', `gw/${bootOf('a')}/-1`, `gw/${bootOf('a')}/2147483648`])
    expect((await put(segmentOf([record]), key)).status).toBe(400)
  expect(await api.call('GET', `/api/v1/predictions/${record.id}`)).toMatchObject({ status: 200, json: { record } })
  expect((await api.call('GET', '/api/v1/predictions/x')).status).toBe(400)
  expect(digestValue('one')).toBe(record.artifact)
})

test('a gateway says how it is; the newest word counts', async () => {
  const say = (epoch: number, refused: object | null = null) =>
    api.call('PUT', '/api/v1/serving/gateways/gw/status', {
      boot: bootOf('a'),
      epoch,
      state: 'ready',
      refused,
      spooledBytes: 7,
    })
  expect((await say(1, { epoch: 2, reason: 'no signature' })).status).toBe(200)
  expect((await say(2)).status).toBe(200)
  const rows = await ctx.db.selectFrom('gateway_status').select(['gateway', 'epoch', 'refused']).execute()
  expect(rows).toEqual([{ gateway: 'gw', epoch: 2, refused: null }])
})
