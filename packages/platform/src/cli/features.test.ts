import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { defineEntity, defineFeatureService, defineFeatureView, last, mean } from '../../../sdk/src/define/feature.ts'
import { declareDataset } from '../datasets/index.ts'
import { declareEntity, declareFeatureService, declareFeatureView, endpoints } from '../features/index.ts'
import { realClock } from '../kernel/clock.ts'
import { settings } from '../kernel/config/index.ts'
import { openTestDatabase, type TestDatabase } from '../kernel/db/database.fixture.ts'
import { listenHttp, mountEndpoints, openHttp } from '../kernel/http/index.ts'
import { silentLog } from '../kernel/log.ts'
import { openCommandLine } from './process.fixture.ts'

const plimsoll = openCommandLine(process.cwd())
let database: TestDatabase
let server: string
let close: () => Promise<void>

const airport = defineEntity({ name: 'airport', description: 'By its code', keys: { code: 'text' } })
const delays = defineFeatureView({
  name: 'delays',
  entity: airport,
  source: 'flights',
  eventTime: 'departed_at',
  knownAt: 'landed_at',
  ttl: '36h',
  features: { newest: last('delay', 'int32'), mean_delay_3h: mean('delay').over('3h') },
})
const board = defineFeatureService({ name: 'board', views: [{ view: delays, as: 'origin', keys: { code: 'origin' } }] })

beforeAll(async () => {
  database = await openTestDatabase()
  const instant = { type: 'timestamp' as const, zone: 'UTC', nullable: false }
  await database.ctx.transaction(async (tx) => {
    await declareDataset(tx, {
      kind: 'dataset',
      name: 'flights',
      source: { format: 'parquet', path: 'flights.parquet' },
      storage: 'in-place',
      schema: {
        code: { type: 'text', nullable: false },
        departed_at: instant,
        landed_at: instant,
        delay: { type: 'int32', nullable: true },
      },
      expectations: [],
    })
    await declareEntity(tx, airport)
    await declareFeatureView(tx, delays)
    await declareFeatureService(tx, board)
    await sql`insert into materialization (project, view, view_version, generation, source, until_us, fence, state, rows_applied, rows_stale, run, step)
      values ('default', 'delays', 'sha256:v', 1, 'sha256:s', 986169600000000, 1, 'committed', 42, 1, 'run_1', 'online')`.execute(
      tx.db,
    )
  })
  const config = settings.parse({})
  const app = openHttp({
    http: config.http,
    host: '127.0.0.1',
    publicHosts: [],
    behindProxy: false,
    clock: realClock,
    log: silentLog,
  })
  mountEndpoints(app, endpoints, { authorise: async () => database.ctx })
  server = (await listenHttp(app, '127.0.0.1', 0)).url
  close = () => app.close()
})
afterAll(async () => {
  await close?.()
  await database?.close()
})

const features = (...args: string[]) => plimsoll.run('features', ...args, '--server', server)

test('features list shows entities, views and services; a generation for views alone', async () => {
  const { status, out, err } = await features('list')
  expect({ status, err }).toEqual({ status: 0, err: '' })
  expect(out).toMatch(/^entity\s+airport\s+sha256:[0-9a-f]{12}\s+By its code$/m)
  expect(out).toMatch(/^view\s+delays\s+sha256:[0-9a-f]{12}\s+1$/m)
  expect(out).toMatch(/^service\s+board\s+sha256:/m)
  const only = await features('list', '--kind', 'view', '--json')
  expect(JSON.parse(only.out)).toMatchObject({ features: [{ kind: 'view', name: 'delays', generation: 1 }] })
})

test('features show says when a view’s rows happened and could be known, and what each feature is', async () => {
  const { out } = await features('show', 'view', 'delays')
  expect(out).toContain('event time   departed_at')
  expect(out).toContain('known at     landed_at')
  expect(out).toContain('ttl          36h')
  expect(out).toContain('mean_delay_3h: mean delay over 3h (float64)')
  expect(out).toContain('newest: last delay (int32)')
  expect((await features('show', 'service', 'board')).out).toContain('delays as origin: all features; code from origin')
  expect((await features('show', 'entity', 'airport')).out).toContain('code (text)')
  expect((await features('show', 'delays')).out).toBe(out)
  const asked = await features('show', 'view', 'delays', '--json')
  expect(JSON.parse(asked.out)).toMatchObject({ kind: 'view', name: 'delays', definition: { knownAt: 'landed_at' } })
})

test('features materializations tells until when, how many rows, and by which run', async () => {
  const { out } = await features('materializations', 'delays')
  expect(out).toMatch(/2001-04-02T00:00:00\.000Z\s+1\s+42\s+1\s+run_1\s+online/)
})

test('features says which name was meant', async () => {
  const { status, err } = await features('show', 'view', 'dealys')
  expect(status).toBe(1)
  expect(err).toContain('Did you mean delays?')
  expect(await features('show', 'dealys')).toMatchObject({
    status: 1,
    err: 'plimsoll: Cannot find entity, view or service "dealys" (features.not_found) — Did you mean delays?\n',
  })
  expect((await features('show', 'x')).err).toContain('There are airport, delays, board')
  expect((await features('show', 'x', 'y')).err).toContain('expected')
  await database.ctx.transaction((tx) => declareEntity(tx, defineEntity({ name: 'board', keys: { code: 'text' } })))
  expect(await features('show', 'board')).toMatchObject({
    status: 2,
    err: expect.stringContaining('Cannot tell which board is meant: entity and service have that name'),
  })
})
