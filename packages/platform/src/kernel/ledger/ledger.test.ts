import { appendFile, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'kysely'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { suiteWith } from '../../../../../tests/servers.ts'
import { openPostgres } from '../../adapters/postgres/backend.ts'
import { startCluster, type TestCluster } from '../../adapters/postgres/cluster.fixture.ts'
import { migrateTestDatabase, openTestDatabase, type TestDatabase } from '../db/database.fixture.ts'
import type { Context } from '../db/index.ts'
import { openMetrics } from '../telemetry/index.ts'
import {
  appendLedger,
  journalLedger,
  observeLedger,
  openJournal,
  openSealer,
  rebuildLedger,
  repairJournal,
  sealLedger,
  verifyLedger,
} from './index.ts'

interface Subject {
  database: TestDatabase
  ctx: Context
}

const TABLES = ['audit', 'ledger_row', 'ledger_seal'] as const

function declareCases(subject: Subject) {
  let root: string
  let path: string
  beforeEach(async () => {
    await subject.database.clear()
    root = await mkdtemp(join(tmpdir(), 'plimsoll-ledger-'))
    path = join(root, 'ledger', 'journal.jsonl')
  })
  afterEach(() => rm(root, { recursive: true, force: true }))

  const write = async (count: number) => {
    for (let n = 0; n < count; n++) {
      await subject.ctx.transaction(async (tx) => {
        if (n % 2 === 0)
          await tx.audit({ action: 'test.act', subject: `s${n}`, data: { n, text: 'ü "quoted"', big: 1.5e300 } })
        else await appendLedger(tx, { kind: 'test.row', subject: `s${n}`, data: { n } })
      })
    }
  }
  const sealAll = async () => {
    await using journal = await openJournal(path)
    await sealLedger(subject.ctx)
    return await journalLedger(subject.ctx, journal)
  }
  const verify = () => verifyLedger(subject.ctx, path)
  /** Rows without a seal, and seals that are not in the journal, as a scrape counts them. */
  const waiting = async () => {
    const metrics = openMetrics('test')
    observeLedger(subject.ctx, metrics)
    const text = await metrics.text()
    return ['seal', 'journal'].map((what) =>
      Number(new RegExp(`^plimsoll_ledger_waiting\\{for="${what}",.*\\} (\\d+)$`, 'm').exec(text)?.[1]),
    )
  }
  /** Changes rows as someone would who may set the triggers aside. */
  const tamper = async (change: () => Promise<unknown>) => {
    for (const table of TABLES) await sql`alter table ${sql.table(table)} disable trigger user`.execute(subject.ctx.db)
    await change()
    for (const table of TABLES) await sql`alter table ${sql.table(table)} enable trigger user`.execute(subject.ctx.db)
  }

  test('audit and ledger rows are chained in one order, journalled, and verified', async () => {
    expect(await verify()).toMatchObject({ ok: true, verified: 0 })
    expect(await waiting()).toEqual([0, 0])
    await write(7)
    expect(await verify()).toMatchObject({ ok: true, verified: 0, pending: 7 })
    expect(await waiting()).toEqual([7, 0])
    expect(await sealAll()).toBe(7)
    await write(4)
    await sealLedger(subject.ctx)
    expect(await verify()).toMatchObject({ ok: true, verified: 11, unjournaled: 4, pending: 0 })
    expect(await waiting()).toEqual([0, 4])
    expect(await sealAll()).toBe(4)
    expect(await waiting()).toEqual([0, 0])
    expect(await verify()).toMatchObject({ ok: true, verified: 11, unjournaled: 0 })
    const { rows } = await sql`select s.position, r.data from ledger_row r join ledger_seal s on s.seq = r.seq
      where r.kind = 'test.row' and r.subject = 's1' order by s.position`.execute(subject.ctx.db)
    expect(rows).toEqual([
      { position: 2n, data: { n: 1 } },
      { position: 9n, data: { n: 1 } },
    ])
  })

  test('a row is of a kind domain.what: audit rows enter by themselves', async () => {
    const add = (kind: string) => subject.ctx.transaction((tx) => appendLedger(tx, { kind, subject: 's', data: null }))
    await expect(add('audit')).rejects.toMatchObject({ code: 'ledger.bad_kind' })
    expect(await verify()).toMatchObject({ ok: true, pending: 0 })
  })

  test('rows can be neither changed nor removed', async () => {
    await write(2)
    await sealLedger(subject.ctx)
    for (const table of TABLES) {
      await expect(sql`delete from ${sql.table(table)}`.execute(subject.ctx.db)).rejects.toMatchObject({
        code: '42501',
      })
    }
    await expect(sql`update audit set actor = 'someone else'`.execute(subject.ctx.db)).rejects.toMatchObject({
      code: '42501',
    })
    await expect(sql`update ledger_row set data = '1'`.execute(subject.ctx.db)).rejects.toMatchObject({ code: '42501' })
  })

  const db = () => subject.ctx.db
  const TAMPERINGS: [string, () => Promise<unknown>, { position: string | null; where: string }][] = [
    [
      'a changed row',
      () => sql`update ledger_row set data = '{"n": 2}' where seq = 2`.execute(db()),
      { position: '2', where: 'database' },
    ],
    [
      'a changed time',
      () => sql`update ledger_row set at = at + interval '1 microsecond' where seq = 3`.execute(db()),
      { position: '3', where: 'database' },
    ],
    [
      'a deleted row',
      () => sql`delete from ledger_row where seq = 4`.execute(db()),
      { position: '4', where: 'database' },
    ],
    [
      'a deleted seal',
      () => sql`delete from ledger_seal where position = 5`.execute(db()),
      { position: '5', where: 'database' },
    ],
    [
      'two rows swapped',
      () =>
        sql`update ledger_seal set seq = 103 - seq where seq in (2, 4)`
          .execute(db())
          .then(() => sql`update ledger_seal set seq = seq - 97 where seq > 90`.execute(db())),
      { position: '2', where: 'database' },
    ],
    [
      'the end cut off',
      () =>
        sql`with gone as (delete from ledger_seal where position > 4 returning seq) delete from ledger_row where seq in (select seq from gone)`.execute(
          db(),
        ),
      { position: '5', where: 'database' },
    ],
    [
      'a changed audit row',
      () => sql`update audit set actor = 'someone else' where seq = 2`.execute(db()),
      { position: '3', where: 'audit' },
    ],
    [
      'a deleted audit row',
      () => sql`delete from audit where seq = 1`.execute(db()),
      { position: '1', where: 'audit' },
    ],
    [
      'an audit row slipped in',
      () =>
        sql`insert into audit (project, actor, proof, action, subject, data) values ('default', 'x', 'none', 'a.b', 's', 'null')`.execute(
          db(),
        ),
      { position: null, where: 'audit' },
    ],
  ]
  test.each(TAMPERINGS)('verifyLedger() names %s, and rebuildLedger() undoes it', async (name, change, expected) => {
    await write(6)
    await sealAll()
    await tamper(change)
    expect(await verify()).toMatchObject({ ok: false, broken: expected })
    if (name === 'an audit row slipped in') return // no record of the journal is about it
    if (name !== 'the end cut off')
      await expect(repairJournal(subject.ctx, path, 'a test')).rejects.toMatchObject({
        kind: 'precondition',
        code: 'ledger.database_damaged',
        message: expect.stringContaining(`position ${expected.position} (${expected.where})`),
        details: { action: expect.stringContaining('plimsoll audit rebuild') },
      })
    const { records, restored, kept } = await rebuildLedger(subject.ctx, path, 'a test')
    expect({ records, restored }).toEqual({ records: 6, restored: expect.any(Number) })
    expect(restored).toBeGreaterThan(0)
    // What said something else is evidence; what was gone left none.
    const isGone = /deleted|cut off|missing/.test(name)
    expect(kept === null).toBe(isGone)
    await sealAll()
    expect(await verify()).toMatchObject({ ok: true, verified: 7 })
    expect(await rebuildLedger(subject.ctx, path, 'again')).toEqual({ records: 7, restored: 0, kept: null })
  })

  test('verifyLedger() names a damaged line of the journal, and the sealer refuses to go on', async () => {
    await write(6)
    await sealAll()
    const text = await readFile(path, 'utf8')
    await writeFile(path, text.replace('"n\\": 3', '"n\\": 9'))
    expect(await verify()).toMatchObject({
      ok: false,
      broken: { position: '4', where: 'journal', row: { subject: 's3' } },
    })
    await expect(openJournal(path)).rejects.toMatchObject({ code: 'ledger.journal_damaged' })
    await expect(rebuildLedger(subject.ctx, path, 'a test')).rejects.toMatchObject({
      kind: 'precondition', // its message is shown
      code: 'ledger.journal_damaged',
      message: expect.stringContaining('position 4'),
      details: { action: expect.stringContaining('plimsoll audit repair') },
    })
  })

  test('a whole chain that was rewritten disagrees with the journal', async () => {
    await write(3)
    await sealAll()
    await tamper(async () => {
      await sql`update ledger_row set subject = 'other' where seq = 2`.execute(db())
      await sql`delete from ledger_seal`.execute(db())
      await sql`insert into ledger_pending (seq) select seq from ledger_row`.execute(db())
    })
    await sealLedger(subject.ctx)
    expect(await verify()).toMatchObject({ ok: false, broken: { position: '2', where: 'journal' } })
    await using journal = await openJournal(path)
    await expect(journalLedger(subject.ctx, journal)).rejects.toMatchObject({ code: 'ledger.diverged' })
  })

  test('a journal torn at any byte of its last line is completed from the database', async () => {
    await write(2)
    await sealAll()
    const head = await readFile(`${path}.head`)
    await write(1)
    await sealAll()
    const whole = await readFile(path)
    const lastLineAt = whole.lastIndexOf(10, whole.length - 2) + 1
    for (const size of [lastLineAt + 1, lastLineAt + 12, whole.length - 20, whole.length - 1]) {
      await writeFile(path, whole)
      await truncate(path, size)
      await writeFile(`${path}.head`, head) // a crash comes before the marks
      await sql`delete from ledger_mark`.execute(subject.ctx.db)
      expect(await verify()).toMatchObject({ ok: true, isJournalTorn: true, unjournaled: 1 })
      expect(await sealAll()).toBe(1)
      expect((await readFile(path)).equals(whole)).toBe(true)
    }
    await appendFile(path, 'rubbish without an end')
    expect(await sealAll()).toBe(0)
    expect((await readFile(path)).equals(whole)).toBe(true)
  })

  test('rebuildLedger() fills an empty database with the same chain, to which later rows are added', async () => {
    await write(6)
    await sealAll()
    const { head } = await verify()
    const audit = () =>
      subject.ctx.db
        .selectFrom('audit')
        .select(['seq', 'at', 'actor', 'action', 'subject', 'data'])
        .orderBy('seq')
        .execute()
    const before = await audit()
    await subject.database.clear()
    expect(await rebuildLedger(subject.ctx, path, 'a test')).toEqual({ records: 6, restored: 6, kept: null })
    expect(await verify()).toMatchObject({ ok: true, verified: 6, head, pending: 1 })
    expect((await audit()).slice(0, before.length)).toEqual(before)
    await write(2)
    await sealAll()
    expect(await verify()).toMatchObject({ ok: true, verified: 9 })
  })

  test('verifyLedger() finds the ledger whole while rows are sealed and journalled', async () => {
    await write(1)
    await sealAll()
    let isOver = false
    const writing = (async () => {
      while (!isOver) {
        await write(1)
        await sealAll()
      }
    })()
    const reports = []
    for (let round = 0; round < 60; round++) reports.push(await verify())
    isOver = true
    await writing
    expect(reports.filter((report) => !report.ok)).toEqual([])
  })

  test('openSealer() seals and journals by itself', async () => {
    await using journal = await openJournal(path)
    const sealer = openSealer(subject.ctx, journal, { everyMs: 3_600_000 })
    await write(3)
    sealer.wake()
    await expect.poll(async () => (await verify()).verified).toBe(3)
    await sealer.settle()
    await sealer.close()
    expect(await verify()).toMatchObject({ ok: true, unjournaled: 0 })
  })
}

describe('ledger on PGlite', () => {
  const subject = {} as Subject // filled before the first test
  beforeAll(async () => {
    subject.database = await openTestDatabase()
    subject.ctx = subject.database.ctx
  })
  afterAll(() => subject.database.close())
  declareCases(subject)
})

suiteWith('postgres', 'ledger on PostgreSQL', (initdb) => {
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

  test('a row whose transaction commits late is sealed late, and nothing is passed over', async () => {
    const gate = Promise.withResolvers<void>()
    const written = Promise.withResolvers<void>()
    const late = subject.ctx.transaction(async (tx) => {
      await tx.audit({ action: 'test.late', subject: 'late' })
      written.resolve()
      await gate.promise
    })
    await written.promise
    await subject.ctx.transaction((tx) => tx.audit({ action: 'test.early', subject: 'early' }))
    expect(await sealLedger(subject.ctx)).toBe(0)
    gate.resolve()
    await late
    expect(await sealLedger(subject.ctx)).toBe(2)
  })
})
