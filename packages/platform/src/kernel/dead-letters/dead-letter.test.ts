import type { FastifyInstance } from 'fastify'
import { sql } from 'kysely'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { createProject, createToken, openAuthoriser, openTokenProvider } from '../auth/index.ts'
import { realClock } from '../clock.ts'
import { settings } from '../config/index.ts'
import { openTestDatabase, type TestDatabase } from '../db/database.fixture.ts'
import type { Context } from '../db/index.ts'
import '../db/test-events.fixture.ts'
import { type Dispatcher, openDispatcher } from '../events/index.ts'
import { mountEndpoints, openHttp } from '../http/index.ts'
import { enqueue, type JobRunner, openJobRunner } from '../jobs/index.ts'
import { silentLog } from '../log.ts'
import { openMetrics } from '../telemetry/index.ts'
import { deadLetterEndpoints, observeDeadLetters } from './index.ts'

let database: TestDatabase
let ctx: Context
let app: FastifyInstance
let runner: JobRunner
let dispatcher: Dispatcher
const tokens: Record<string, string> = {}
let isBroken = true
const done: string[] = []

async function attempt(what: string): Promise<undefined> {
  if (isBroken) throw new Error(`cannot ${what}`)
  done.push(what)
}

beforeAll(async () => {
  database = await openTestDatabase()
  ctx = database.ctx.as({ principal: { ...database.ctx.principal, id: 'operator' } })
  const { http } = settings.parse({})
  app = openHttp({ http, host: '127.0.0.1', publicHosts: [], behindProxy: false, clock: realClock, log: silentLog })
  mountEndpoints(
    app,
    deadLetterEndpoints,
    openAuthoriser({ ctx, requireToken: true, providers: [openTokenProvider(ctx)] }),
  )
})
afterAll(async () => {
  await app.close()
  await database.close()
})

beforeEach(async () => {
  await database.clear()
  isBroken = true
  done.length = 0
  await createProject(ctx, 'default')
  await createProject(ctx, 'other')
  for (const [name, project, role] of [
    ['viewer', 'default', 'viewer'],
    ['approver', 'default', 'approver'],
    ['admin', 'default', 'admin'],
    ['foreign', 'other', 'admin'],
  ] as const) {
    const wanted = { principal: `own-${name}`, name: 't', role, days: 1, allProjects: false }
    tokens[name] = (await createToken(ctx.as({ project }), wanted)).token
  }
  runner = openJobRunner(ctx, [{ kind: 'test.job', run: () => attempt('run') }], { pollMs: 3_600_000 })
  const consumer = { name: 'test.consumer', types: ['test.happened'], handle: () => attempt('handle') }
  dispatcher = await openDispatcher(ctx, [consumer], { pollMs: 3_600_000, attemptsMax: 1 })
  await ctx.transaction(async (tx) => {
    await enqueue(tx, { kind: 'test.job', dedupeKey: 'key', attemptsMax: 1 })
    await tx.emit({ type: 'test.happened', subject: 'thing', data: null })
  })
  await settle()
})
afterEach(async () => {
  await runner.close(0)
  await dispatcher.close()
})

async function settle(): Promise<void> {
  await runner.settle()
  await dispatcher.settle()
}

async function ask(who: string, method: 'GET' | 'POST', path = '') {
  const project = who === 'foreign' ? 'other' : 'default'
  const headers = { authorization: `Bearer ${tokens[who]}`, 'x-plimsoll-project': project }
  const answer = await app.inject({ method, url: `/api/v1/dead-letters${path}`, headers })
  return { status: answer.statusCode, json: answer.body === '' ? undefined : answer.json() }
}

async function idsOf(who = 'viewer'): Promise<{ job: string; event: string }> {
  const { letters } = (await ask(who, 'GET')).json as { letters: { id: string; kind: string }[] }
  return Object.fromEntries(letters.map(({ id, kind }) => [kind, id])) as { job: string; event: string }
}

async function audited() {
  const rows = ctx.db.selectFrom('audit').select(['project', 'actor', 'action', 'subject', 'data']).orderBy('seq')
  return (await rows.execute()).filter(({ action }) => /^(?:jobs|events)\./.test(action))
}

async function gauges(): Promise<string[]> {
  const metrics = openMetrics('test')
  observeDeadLetters(ctx, metrics)
  return (await metrics.text()).split('\n').filter((line) => line.startsWith('plimsoll_dead_letters'))
}

test('the list has the dead job and the dead event, newest first; its bound says what it leaves out', async () => {
  const { json } = await ask('viewer', 'GET')
  const since = expect.stringMatching(/^\d{4}-.*Z$/)
  expect(json).toEqual({
    letters: expect.arrayContaining([
      {
        id: expect.stringMatching(/^job_/),
        kind: 'job',
        type: 'test.job',
        consumer: null,
        subject: 'key',
        attempts: 1,
        error: 'internal.unexpected: cannot run',
        since,
      },
      {
        id: expect.stringMatching(/^\d+@test\.consumer$/),
        kind: 'event',
        type: 'test.happened',
        consumer: 'test.consumer',
        subject: 'thing',
        attempts: 1,
        error: 'internal.unexpected: cannot handle',
        since,
      },
    ]),
    total: 2,
  })
  const times = (json as { letters: { since: string }[] }).letters.map((letter) => letter.since)
  expect(times).toEqual([...times].sort().reverse())
  const first = (await ask('viewer', 'GET', '?limit=1')).json
  expect(first).toEqual({ letters: [(json as { letters: unknown[] }).letters[0]], total: 2 })
})

test('retry runs a letter again, and the audit says who did it', async () => {
  const { job, event } = await idsOf()
  isBroken = false
  for (const id of [job, event]) expect((await ask('admin', 'POST', `/${id}/retry`)).status).toBe(204)
  expect((await ask('viewer', 'GET')).json).toEqual({ letters: [], total: 0 })
  await settle()
  expect(done.sort()).toEqual(['handle', 'run'])
  const common = { project: 'default', actor: 'own-admin' }
  expect(await audited()).toMatchObject([
    { ...common, action: 'jobs.retry', subject: job, data: { error: 'internal.unexpected: cannot run' } },
    { ...common, action: 'events.retry', subject: event, data: { error: 'internal.unexpected: cannot handle' } },
  ])
})

test('discard removes a letter for good, and the audit keeps why it was dead', async () => {
  const { job, event } = await idsOf()
  for (const id of [job, event]) expect((await ask('admin', 'POST', `/${id}/discard`)).status).toBe(204)
  isBroken = false
  await settle()
  expect(done).toEqual([])
  expect(await ctx.db.selectFrom('job').select('id').execute()).toEqual([])
  expect(await ctx.db.selectFrom('outbox_parked').select('position').execute()).toEqual([])
  expect(await audited()).toMatchObject([
    { action: 'jobs.discard', subject: job, data: { kind: 'test.job', error: 'internal.unexpected: cannot run' } },
    { action: 'events.discard', subject: event, data: { error: 'internal.unexpected: cannot handle' } },
  ])
})

test.each(['retry', 'discard'])(
  '%s is refused to whoever is no admin of the project, and changes nothing',
  async (verb) => {
    const { job, event } = await idsOf()
    for (const id of [job, event]) {
      expect(await ask('approver', 'POST', `/${id}/${verb}`)).toMatchObject({ status: 403 })
      expect(await ask('foreign', 'POST', `/${id}/${verb}`)).toMatchObject({ status: 404 })
    }
    expect((await ask('foreign', 'GET')).json).toEqual({ letters: [], total: 0 })
    expect(await idsOf()).toEqual({ job, event })
    expect(await audited()).toEqual([])
  },
)

test.each(['retry', 'discard'])('%s of what is no dead letter says so', async (verb) => {
  const { job, event } = await idsOf()
  for (const id of [job, event]) await ask('admin', 'POST', `/${id}/retry`)
  expect((await ask('admin', 'POST', `/${job}/${verb}`)).json).toMatchObject({
    status: 412,
    code: 'jobs.not_dead',
    detail: `Cannot ${verb} job ${job}: it is queued`,
  })
  expect((await ask('admin', 'POST', `/${event}/${verb}`)).json).toMatchObject({
    status: 412,
    code: 'events.not_dead',
    detail: `Cannot ${verb} event ${event}: it is still being tried`,
  })
  isBroken = false
  await settle()
  for (const id of [event, 'job_x', '7@nobody', 'x', '@', '1@'])
    expect(await ask('admin', 'POST', `/${encodeURIComponent(id)}/${verb}`), id).toMatchObject({
      status: 404,
      json: { code: id.startsWith('job_') ? 'jobs.not_found' : 'events.not_found' },
    })
})

test('plimsoll_dead_letters counts both kinds, and is left out while it cannot be counted', async () => {
  expect(await gauges()).toEqual([
    'plimsoll_dead_letters{kind="job",process="test"} 1',
    'plimsoll_dead_letters{kind="event",process="test"} 1',
  ])
  await ask('admin', 'POST', `/${(await idsOf()).job}/discard`)
  expect(await gauges()).toContain('plimsoll_dead_letters{kind="job",process="test"} 0')
  await sql`alter table job rename to job_away`.execute(ctx.db)
  expect(await gauges()).toEqual([])
  await sql`alter table job_away rename to job`.execute(ctx.db)
})
