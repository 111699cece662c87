import { sql } from 'kysely'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { suiteWith } from '../../../../../tests/servers.ts'
import { openPostgres } from '../../adapters/postgres/backend.ts'
import { startCluster, type TestCluster } from '../../adapters/postgres/cluster.fixture.ts'
import { migrateTestDatabase, openTestDatabase, type TestDatabase } from '../db/database.fixture.ts'
import { type Context, type ShiftedDatabaseClock, shiftedDatabaseClock } from '../db/index.ts'
import '../db/test-events.fixture.ts'
import {
  type Consumer,
  consume,
  type Dispatcher,
  listDeadEvents,
  markEvents,
  openDispatcher,
  placeEvents,
  pruneEvents,
  retryDeadEvent,
} from './index.ts'

interface Subject {
  database: TestDatabase
  ctx: Context
}

type TestEvent = 'test.happened' | 'test.other' | 'other.happened'

function emit(ctx: Context, subject: string, data: unknown = null, type: TestEvent = 'test.happened') {
  return ctx.transaction((tx) => tx.emit({ type, subject, data }))
}

function declareCases(subject: Subject) {
  let opened: Dispatcher[] = []
  let time: ShiftedDatabaseClock
  beforeEach(async () => {
    await subject.database.clear()
    time = shiftedDatabaseClock()
  })
  afterEach(async () => {
    for (const dispatcher of opened.splice(0)) await dispatcher.close()
    opened = []
  })
  const open = async (consumers: Consumer[], attemptsMax = 3) => {
    const dispatcher = await openDispatcher(subject.ctx, consumers, {
      pollMs: 3_600_000,
      clock: time.clock,
      attemptsMax,
    })
    opened.push(dispatcher)
    return dispatcher
  }
  const recorder = (
    seen: string[],
    fails: (subject: string) => boolean = () => false,
    name = 'recorder',
  ): Consumer => ({
    name,
    types: ['test.happened'],
    handle: async (_tx, event) => {
      if (fails(event.subject)) throw new Error(`cannot take ${event.subject}`)
      seen.push(`${event.subject}${event.data ?? ''}`)
    },
  })

  test('every consumer gets each event of its types once, in order, from the beginning', async () => {
    for (let n = 0; n < 150; n++) await emit(subject.ctx, 'a', n, n % 3 === 2 ? 'test.other' : 'test.happened')
    const [one, two]: [string[], string[]] = [[], []]
    const dispatcher = await open([recorder(one), recorder(two, undefined, 'second')])
    await dispatcher.settle()
    const expected = Array.from({ length: 150 }, (_, n) => n)
      .filter((n) => n % 3 !== 2)
      .map((n) => `a${n}`)
    expect(one).toEqual(expected)
    expect(two).toEqual(expected)
    await dispatcher.settle()
    expect(one).toHaveLength(100)
  })

  test('a consumer writes in the transaction of its cursor: a failure after its write leaves nothing', async () => {
    let isBroken = true
    const counting = consume({
      name: 'counting',
      types: ['test.counted'],
      handle: async (tx, event) => {
        await tx.audit({ action: 'test.counted', subject: event.subject, data: event.data.n })
        if (isBroken) throw new Error('after the write')
      },
    })
    const dispatcher = await open([counting])
    const other = subject.ctx.as({ project: 'other' })
    await other.transaction((tx) => tx.emit({ type: 'test.counted', subject: 'a', data: { n: 1 } }))
    await dispatcher.settle()
    const audit = () => subject.ctx.db.selectFrom('audit').select(['project', 'data']).execute()
    expect(await audit()).toEqual([])
    isBroken = false
    time.advance(60_000)
    await dispatcher.settle()
    expect(await audit()).toEqual([{ project: 'other', data: 1 }])
  })

  test('consume() gives each type its data; an event that does not fit its schema becomes a dead letter', async () => {
    const seen: number[] = []
    const reading = consume({
      name: 'reading',
      types: ['test.counted', 'test.other'],
      handle: async (_tx, event) => void seen.push(event.type === 'test.counted' ? event.data.n : -1),
    })
    const dispatcher = await open([reading], 1)
    const older = { project: 'default', type: 'test.counted', subject: 'older', data: '{"count":1}' }
    await subject.ctx.db.insertInto('outbox').values(older).execute()
    await subject.ctx.transaction((tx) => tx.emit({ type: 'test.counted', subject: 'a', data: { n: 1 } }))
    await emit(subject.ctx, 'a', 'x', 'test.other')
    await dispatcher.settle()
    expect(seen).toEqual([1, -1])
    const [letter, ...more] = await listDeadEvents(subject.ctx, 10)
    expect(more).toEqual([])
    expect(letter).toMatchObject({ consumer: 'reading', type: 'test.counted', subject: 'older' })
    const fault = '/n Invalid input: expected number, received undefined; Unrecognized key: "count"'
    expect(letter!.error).toBe(`events.unreadable: Cannot read event 1, test.counted: ${fault}`)
    await dispatcher.close()
    // A release that takes the type no more finds it among the parked ones.
    const later = await open([consume({ name: 'reading', types: ['test.other'], handle: async () => {} })], 1)
    await retryDeadEvent(subject.ctx, letter!.id)
    await later.settle()
    const [again] = await listDeadEvents(subject.ctx, 10)
    expect(again!.error).toBe(
      'events.unreadable: Cannot read event 1, test.counted: this consumer does not take its type',
    )
  })

  test('consume() takes no type that nobody declares', () => {
    const unknown = 'test.never' as 'test.other' // as a caller would have to lie
    expect(() => consume({ name: 'lost', types: [unknown], handle: async () => {} })).toThrow('is not declared')
  })

  test('a poisoned event holds back its own subject only, then becomes a visible dead letter', async () => {
    const seen: string[] = []
    let isPoisoned = true
    const dispatcher = await open([recorder(seen, (name) => isPoisoned && name === 'bad')])
    await emit(subject.ctx, 'bad', 1)
    await emit(subject.ctx, 'good', 1)
    await emit(subject.ctx, 'good', 2)
    await dispatcher.settle()
    expect(seen).toEqual(['good1', 'good2'])
    for (let attempt = 2; attempt <= 3; attempt++) {
      time.advance(60_000)
      await dispatcher.settle()
    }
    const letters = await listDeadEvents(subject.ctx, 10)
    expect(letters).toMatchObject([
      { consumer: 'recorder', subject: 'bad', attempts: 3, error: expect.stringContaining('cannot take bad') },
    ])
    expect(await listDeadEvents(subject.ctx.as({ project: 'other' }), 10)).toEqual([])
    isPoisoned = false
    await emit(subject.ctx, 'bad', 2)
    await dispatcher.settle()
    expect(seen).toEqual(['good1', 'good2', 'bad2'])
    const { id } = letters[0]!
    await retryDeadEvent(subject.ctx, id)
    await expect(retryDeadEvent(subject.ctx, id)).rejects.toMatchObject({ code: 'events.not_dead' })
    await dispatcher.settle()
    expect(seen.at(-1)).toBe('bad1')
  })

  test('events behind a failing one of the same subject wait and keep their order', async () => {
    const seen: string[] = []
    let isBroken = true
    const dispatcher = await open([recorder(seen, () => isBroken)])
    for (let n = 0; n < 5; n++) await emit(subject.ctx, 'a', n)
    await dispatcher.settle()
    await emit(subject.ctx, 'a', 5)
    await dispatcher.settle()
    isBroken = false
    time.advance(60_000)
    await dispatcher.settle()
    expect(seen).toEqual(['a0', 'a1', 'a2', 'a3', 'a4', 'a5'])
  })

  test('the pause of a failing event doubles up to a hundred times the first', async () => {
    const dispatcher = await open([recorder([], () => true)], 20)
    await emit(subject.ctx, 'bad')
    const failAfter = async (seconds: number) => {
      time.advance(seconds * 1_000)
      await dispatcher.settle()
      return (await subject.ctx.db.selectFrom('outbox_parked').select('attempts').executeTakeFirstOrThrow()).attempts
    }
    for (let attempt = 1; attempt <= 7; attempt++) expect(await failAfter(50)).toBe(attempt)
    // 32 seconds.
    expect(await failAfter(16)).toBe(7)
    expect(await failAfter(17)).toBe(8)
    for (let attempt = 9; attempt <= 12; attempt++) expect(await failAfter(50)).toBe(attempt)
    expect(await failAfter(50)).toBe(13)
  })

  test('two dispatchers share a consumer: each event has its effect once', async () => {
    const effect: Consumer = {
      name: 'effect',
      types: ['test.happened'],
      handle: (tx, event) => tx.audit({ action: 'test.effect', subject: String(event.data) }),
    }
    const [one, two] = [await open([effect]), await open([effect])]
    for (let n = 0; n < 60; n++) await emit(subject.ctx, `s${n % 7}`, n)
    await Promise.all([one.settle(), two.settle()])
    await one.settle()
    const rows = await subject.ctx.db.selectFrom('audit').select('subject').orderBy('seq').execute()
    expect(rows.map((row) => Number(row.subject))).toEqual(Array.from({ length: 60 }, (_, n) => n))
  })

  test('the retention removes what all consumers have passed, and nothing that is parked', async () => {
    const seen: string[] = []
    const dispatcher = await open([recorder(seen, (name) => name === 'bad')], 1)
    await emit(subject.ctx, 'good', 1)
    await emit(subject.ctx, 'bad', 1)
    expect(await pruneEvents(subject.ctx, 0)).toBe(0)
    await dispatcher.settle()
    await emit(subject.ctx, 'good', 2)
    expect(await pruneEvents(subject.ctx, 3_600_000)).toBe(0)
    expect(await pruneEvents(subject.ctx, 0)).toBe(1)
    expect((await subject.database.events()).map((event) => event.subject)).toEqual(['bad', 'good'])
  })

  test('markEvents() tells what came since of the domains asked for, whatever its place in the order', async () => {
    const { ctx } = subject
    await emit(ctx, 'a')
    const first = await markEvents(ctx, ['test'])
    expect(first.isNew).toBe(true)
    const isNew = async (since = first.mark) => (await markEvents(ctx, ['test'], since)).isNew
    expect(await isNew()).toBe(false)
    await placeEvents(ctx)
    await emit(ctx, 'b', null, 'other.happened')
    expect(await isNew()).toBe(false)
    await emit(ctx, 'a')
    expect(await isNew()).toBe(true)
    await placeEvents(ctx)
    const { mark, ...second } = await markEvents(ctx, ['test', 'other'], first.mark)
    expect([second.isNew, await isNew(mark)]).toEqual([true, false])
  })

  test('wake() delivers without waiting for the poll', async () => {
    const seen: string[] = []
    const dispatcher = await open([recorder(seen)])
    await emit(subject.ctx, 'a', 1)
    dispatcher.wake()
    await expect.poll(() => seen).toEqual(['a1'])
  })
}

describe('events on PGlite', () => {
  const subject = {} as Subject // filled before the first test
  beforeAll(async () => {
    subject.database = await openTestDatabase()
    subject.ctx = subject.database.ctx
  })
  afterAll(() => subject.database.close())
  declareCases(subject)
})

suiteWith('postgres', 'events on PostgreSQL', (initdb) => {
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

  test('an event whose transaction commits late is delivered, although later ones have been written before', async () => {
    const seen: unknown[] = []
    const dispatcher = await openDispatcher(
      subject.ctx,
      [{ name: 'late', types: ['test.happened'], handle: async (_tx, event) => void seen.push(event.data) }],
      { pollMs: 3_600_000 },
    )
    let release = () => {}
    const held = new Promise<void>((resolve) => (release = resolve))
    let written = () => {}
    const isWritten = new Promise<void>((resolve) => (written = resolve))
    const late = subject.ctx.transaction(async (tx) => {
      await tx.emit({ type: 'test.happened', subject: 'late', data: 'late' })
      written()
      await held
    })
    await isWritten
    await emit(subject.ctx, 'early', 'early')
    await dispatcher.settle()
    expect(seen).toEqual([])
    release()
    await late
    await dispatcher.settle()
    expect(seen).toEqual(['late', 'early'])
    await dispatcher.close()
  })

  test('markEvents() sees an event whose transaction commits late, after later ones were placed', async () => {
    const { ctx } = subject
    const written = Promise.withResolvers<void>()
    const held = Promise.withResolvers<void>()
    const late = ctx.transaction(async (tx) => {
      await tx.emit({ type: 'test.happened', subject: 'late', data: null })
      written.resolve()
      await held.promise
    })
    await written.promise
    await emit(ctx, 'early')
    await placeEvents(ctx)
    const { mark } = await markEvents(ctx, ['test'])
    held.resolve()
    await late
    expect((await markEvents(ctx, ['test'], mark)).isNew).toBe(true)
  })

  test('a subject keeps the order of its row locks, whichever transaction began first', async () => {
    const { ctx } = subject
    await sql`create table lock_row (id int primary key)`.execute(ctx.db)
    await sql`insert into lock_row values (1)`.execute(ctx.db)
    const seen: unknown[] = []
    const dispatcher = await openDispatcher(
      ctx,
      [{ name: 'locks', types: ['test.happened'], handle: async (_tx, event) => void seen.push(event.data) }],
      { pollMs: 3_600_000 },
    )
    const gates = [0, 1].map(() => Promise.withResolvers<void>())
    const began = [0, 1].map(() => Promise.withResolvers<void>())
    // The older transaction gets the lock last; a bystander between them stays open.
    const older = ctx.transaction(async (tx) => {
      await sql`select pg_current_xact_id()`.execute(tx.db)
      began[0]!.resolve()
      await gates[0]!.promise
      await sql`update lock_row set id = id`.execute(tx.db)
      await tx.emit({ type: 'test.happened', subject: 's', data: 'second' })
    })
    await began[0]!.promise
    const bystander = ctx.transaction(async (tx) => {
      await sql`select pg_current_xact_id()`.execute(tx.db)
      began[1]!.resolve()
      await gates[1]!.promise
    })
    await began[1]!.promise
    await ctx.transaction(async (tx) => {
      await sql`update lock_row set id = id`.execute(tx.db)
      await tx.emit({ type: 'test.happened', subject: 's', data: 'first' })
    })
    gates[0]!.resolve()
    await older
    await dispatcher.settle()
    expect(seen).toEqual([])
    gates[1]!.resolve()
    await bystander
    await dispatcher.settle()
    expect(seen).toEqual(['first', 'second'])
    await dispatcher.close()
  })
})
