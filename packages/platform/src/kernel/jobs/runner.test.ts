import { sql } from 'kysely'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { suiteWith } from '../../../../../tests/servers.ts'
import { openPostgres } from '../../adapters/postgres/backend.ts'
import { startCluster, type TestCluster } from '../../adapters/postgres/cluster.fixture.ts'
import { migrateTestDatabase, openTestDatabase, type TestDatabase } from '../db/database.fixture.ts'
import { type Context, type ShiftedDatabaseClock, shiftedDatabaseClock } from '../db/index.ts'
import {
  cancelJob,
  declareSchedule,
  enqueue,
  type JobHandler,
  type JobRunner,
  listDeadJobs,
  openJobRunner,
  pruneJobs,
  retryDeadJob,
} from './index.ts'

interface Subject {
  database: TestDatabase
  ctx: Context
}

function declareCases(subject: Subject) {
  const opened: JobRunner[] = []
  let time: ShiftedDatabaseClock
  beforeEach(async () => {
    await subject.database.clear()
    time = shiftedDatabaseClock()
  })
  afterEach(async () => {
    for (const runner of opened.splice(0)) await runner.close(0)
  })
  const open = (handlers: JobHandler[], concurrency = 4) => {
    const runner = openJobRunner(subject.ctx, handlers, {
      pollMs: 3_600_000,
      leaseMs: 3_600_000,
      clock: time.clock,
      concurrency,
    })
    opened.push(runner)
    return runner
  }
  const add = (kind: string, data: unknown = null, more: object = {}) =>
    subject.ctx.transaction((tx) => enqueue(tx, { kind, data, ...more }))
  const states = async () =>
    (await subject.ctx.db.selectFrom('job').select(['state', 'attempts']).orderBy('id').execute()).map(
      (job) => `${job.state} ${job.attempts}`,
    )
  const effects = async () =>
    (await subject.ctx.db.selectFrom('audit').select('subject').orderBy('seq').execute()).map((row) => row.subject)

  test('a job runs once, in its project, and its finishing work is in the same transaction', async () => {
    await subject.ctx.as({ project: 'other' }).transaction((tx) => enqueue(tx, { kind: 'greet', data: { to: 'you' } }))
    const runner = open([
      {
        kind: 'greet',
        run: async (call) => (tx) =>
          tx.audit({ action: 'test.greet', subject: `${call.ctx.project} ${JSON.stringify(call.data)}` }),
      },
    ])
    await runner.settle()
    await runner.settle()
    expect(await effects()).toEqual(['other {"to":"you"}'])
    expect(await states()).toEqual(['done 1'])
  })

  test('enqueue() in a transaction that fails adds nothing', async () => {
    const failed = subject.ctx.transaction(async (tx) => {
      await enqueue(tx, { kind: 'greet' })
      throw new Error('no')
    })
    await expect(failed).rejects.toThrow('no')
    expect(await states()).toEqual([])
  })

  test('a dedupe key admits one open job, and a new one after its end', async () => {
    const first = await add('greet', 1, { dedupeKey: 'k' })
    expect(await add('greet', 2, { dedupeKey: 'k' })).toBe(first)
    // Databases plan a repeated statement for all values from its sixth use on.
    for (let time = 0; time < 10; time++) expect(await add('greet', 2, { dedupeKey: 'k' })).toBe(first)
    expect(await add('other', 2, { dedupeKey: 'k' })).not.toBe(first)
    await open([{ kind: 'greet', run: async () => undefined }]).settle()
    expect(await add('greet', 3, { dedupeKey: 'k' })).not.toBe(first)
  })

  test('enqueue() gives up on a key that is neither free nor taken', async () => {
    const { db } = subject.ctx
    // As if another job with the key ended between the two statements, each time.
    await sql`create function test_refuse() returns trigger language plpgsql as 'begin return null; end'`.execute(db)
    await sql`create trigger test_refuse before insert on job for each row execute function test_refuse()`.execute(db)
    try {
      await expect(add('greet', 1, { dedupeKey: 'k' })).rejects.toMatchObject({
        kind: 'conflict',
        code: 'jobs.dedupe_raced',
      })
    } finally {
      await sql`drop function test_refuse cascade`.execute(db)
    }
  })

  test('runAfterMs holds a job back until the database says so', async () => {
    await add('greet', null, { runAfterMs: 60_000 })
    const runner = open([{ kind: 'greet', run: async () => undefined }])
    await runner.settle()
    expect(await states()).toEqual(['queued 0'])
    time.advance(61_000)
    await runner.settle()
    expect(await states()).toEqual(['done 1'])
  })

  test('a failing job is tried again after a pause, then is dead and visible, and can be tried anew', async () => {
    let isBroken = true
    const id = await add('greet', null, { attemptsMax: 3 })
    const runner = open([
      {
        kind: 'greet',
        run: async () => {
          if (isBroken) throw new Error('not today')
          return undefined
        },
      },
    ])
    for (let attempt = 1; attempt <= 3; attempt++) {
      await runner.settle()
      expect(await states()).toEqual([`${attempt === 3 ? 'dead' : 'queued'} ${attempt}`])
      time.advance(600_000)
    }
    await runner.settle()
    expect(await listDeadJobs(subject.ctx, 10)).toMatchObject([
      { id, attempts: 3, error: 'internal.unexpected: not today' },
    ])
    isBroken = false
    await retryDeadJob(subject.ctx, id)
    await runner.settle()
    expect(await states()).toEqual(['done 1'])
    await expect(retryDeadJob(subject.ctx, id)).rejects.toMatchObject({ code: 'jobs.not_dead' })
  })

  test('the pause after a failure doubles up to five minutes, and is at least half of that', async () => {
    await add('greet', null, { attemptsMax: 20 })
    const runner = open([{ kind: 'greet', run: () => Promise.reject(new Error('not today')) }])
    await runner.settle()
    const failAfter = async (seconds: number) => {
      time.advance(seconds * 1_000)
      await runner.settle()
      return (await states())[0]
    }
    for (let attempt = 2; attempt <= 9; attempt++) expect(await failAfter(300)).toBe(`queued ${attempt}`)
    // 256 seconds, so 128 at least.
    expect(await failAfter(100)).toBe('queued 9')
    expect(await failAfter(157)).toBe('queued 10')
    for (let attempt = 11; attempt <= 19; attempt++) expect(await failAfter(300)).toBe(`queued ${attempt}`)
    expect(await failAfter(300)).toBe('dead 20')
  })

  test('retryDeadJob() refuses while another job of its key is open, and forgets that it was to be cancelled', async () => {
    const id = await add('greet', null, { dedupeKey: 'k', attemptsMax: 1 })
    await open([{ kind: 'greet', run: () => Promise.reject(new Error('not today')) }]).settle()
    const second = await add('greet', null, { dedupeKey: 'k', runAfterMs: 3_600_000 })
    await expect(retryDeadJob(subject.ctx, id)).rejects.toMatchObject({
      code: 'jobs.already_open',
      message: `Cannot retry job ${id}: job ${second}, which does the same, is queued`,
    })
    await cancelJob(subject.ctx, second)
    await subject.ctx.db
      .updateTable('job')
      .set({ cancel_requested_at: new Date(0) })
      .where('id', '=', id)
      .execute()
    await retryDeadJob(subject.ctx, id)
    const row = subject.ctx.db.selectFrom('job').select(['state', 'cancel_requested_at']).where('id', '=', id)
    expect(await row.execute()).toEqual([{ state: 'queued', cancel_requested_at: null }])
  })

  test('a runner whose lease ran out is fenced: the work of its successor stands alone', async () => {
    await add('slow')
    const gate = Promise.withResolvers<void>()
    const started = Promise.withResolvers<void>()
    const effect = (who: string) => async (tx: { audit(entry: { action: string; subject: string }): Promise<void> }) =>
      tx.audit({ action: 'test.effect', subject: who })
    const first = open([
      {
        kind: 'slow',
        run: async () => {
          started.resolve()
          await gate.promise
          return effect('first')
        },
      },
    ])
    await started.promise
    time.advance(2 * 3_600_000)
    const second = open([{ kind: 'slow', run: async () => effect('second') }])
    await second.settle()
    time.advance(600_000)
    await second.settle()
    gate.resolve()
    await first.close()
    expect(await effects()).toEqual(['second'])
    expect(await states()).toEqual(['done 2'])
  })

  test('what a silent runner held is dead once its attempts are used up, and cancelled where that was asked for', async () => {
    const [last, unwanted] = [await add('hang', null, { attemptsMax: 1 }), await add('hang')]
    const bothStarted = Promise.withResolvers<void>()
    let started = 0
    const hanging: JobHandler = {
      kind: 'hang',
      run: (call) =>
        new Promise((_resolve, reject) => {
          call.signal.addEventListener('abort', () => reject(call.signal.reason))
          if (++started === 2) bothStarted.resolve()
        }),
    }
    open([hanging])
    await bothStarted.promise
    expect(await cancelJob(subject.ctx, unwanted)).toBe(true)
    time.advance(2 * 3_600_000)
    await open([{ kind: 'other', run: async () => undefined }]).settle()
    expect((await states()).sort()).toEqual(['cancelled 1', 'dead 1'])
    expect(await listDeadJobs(subject.ctx, 10)).toMatchObject([
      { id: last, error: 'jobs.lease_expired: The runner went silent' },
    ])
  })

  test('renew() keeps a lease, and tells of cancellation and of a lost lease', async () => {
    const signals: AbortSignal[] = []
    const bothStarted = Promise.withResolvers<void>()
    const waiting: JobHandler = {
      kind: 'wait',
      run: (call) =>
        new Promise((_resolve, reject) => {
          signals.push(call.signal)
          call.signal.addEventListener('abort', () => reject(call.signal.reason))
          if (signals.length === 2) bothStarted.resolve()
        }),
    }
    const [one, two] = [await add('wait'), await add('wait')]
    const runner = open([waiting])
    await bothStarted.promise
    time.advance(3_000_000)
    await runner.renew()
    time.advance(3_000_000)
    await runner.renew()
    expect(signals.map((signal) => signal.aborted)).toEqual([false, false])
    expect(await cancelJob(subject.ctx, one)).toBe(true)
    await subject.ctx.db.updateTable('job').set({ fence: 999n }).where('id', '=', two).execute()
    await runner.renew()
    expect(signals.map((signal) => (signal.reason as { code: string }).code).sort()).toEqual([
      'jobs.cancelled',
      'jobs.fenced',
    ])
    await runner.close(0)
    expect((await states()).sort()).toEqual(['cancelled 1', 'leased 1'])
  })

  test('cancelJob() ends a queued job at once, and refuses what is not there', async () => {
    const id = await add('greet')
    expect(await cancelJob(subject.ctx, id)).toBe(true)
    expect(await cancelJob(subject.ctx, id)).toBe(false)
    expect(await states()).toEqual(['cancelled 0'])
    await expect(cancelJob(subject.ctx.as({ project: 'other' }), id)).rejects.toMatchObject({ code: 'jobs.not_found' })
  })

  test('a runner runs at most `concurrency` jobs at once, and two runners never the same', async () => {
    let now = 0
    let most = 0
    const seen: unknown[] = []
    const handler: JobHandler = {
      kind: 'count',
      run: async (call) => {
        most = Math.max(most, ++now)
        seen.push(call.data)
        await new Promise((resolve) => setImmediate(resolve))
        now--
        return undefined
      },
    }
    for (let n = 0; n < 40; n++) await add('count', n)
    const [one, two] = [open([handler], 3), open([handler], 3)]
    await Promise.all([one.settle(), two.settle()])
    expect(most).toBeLessThanOrEqual(6)
    expect([...seen].sort((a, b) => Number(a) - Number(b))).toEqual(Array.from({ length: 40 }, (_, n) => n))
  })

  test('close() gives back what does not end in time: the attempt does not count', async () => {
    await add('wait')
    const started = Promise.withResolvers<void>()
    let reason: unknown
    const runner = open([
      {
        kind: 'wait',
        run: (call) =>
          new Promise((_resolve, reject) => {
            started.resolve()
            call.signal.addEventListener('abort', () => {
              reason = call.signal.reason
              reject(reason)
            })
          }),
      },
    ])
    await started.promise
    await runner.close(10)
    expect(reason).toMatchObject({ kind: 'unavailable', code: 'jobs.stopping' })
    expect(await states()).toEqual(['queued 0'])
  })

  test('a schedule adds one job per period, makes up once, and never doubles an open one', async () => {
    const declare = () =>
      subject.ctx.transaction((tx) => declareSchedule(tx, { name: 'tidy', kind: 'tidy', everyMs: 60_000 }))
    await declare()
    await declare()
    const idle = open([{ kind: 'none', run: async () => undefined }])
    await idle.settle()
    time.advance(600_000)
    await idle.settle()
    expect(await states()).toEqual(['queued 0'])
    const runner = open([{ kind: 'tidy', run: async () => undefined }])
    await runner.settle()
    time.advance(61_000)
    await runner.settle()
    await runner.settle()
    expect(await states()).toEqual(['done 1', 'done 1'])
    expect(await pruneJobs(subject.ctx, 3_600_000)).toBe(0)
    expect(await pruneJobs(subject.ctx, -86_400_000)).toBe(2)
  })
}

describe('jobs on PGlite', () => {
  const subject = {} as Subject // filled before the first test
  beforeAll(async () => {
    subject.database = await openTestDatabase()
    subject.ctx = subject.database.ctx
  })
  afterAll(() => subject.database.close())
  declareCases(subject)
})

suiteWith('postgres', 'jobs on PostgreSQL', (initdb) => {
  const subject = {} as Subject // filled before the first test
  let cluster: TestCluster
  beforeAll(async () => {
    cluster = await startCluster(initdb)
    subject.database = await migrateTestDatabase(await openPostgres({ url: await cluster.createDatabase() }))
    subject.ctx = subject.database.ctx
  })
  afterAll(async () => {
    await subject.database?.close()
    await cluster?.close()
  })
  declareCases(subject)
})
