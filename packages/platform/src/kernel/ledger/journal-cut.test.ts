import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { sql } from 'kysely'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { openTestDatabase, type TestDatabase } from '../db/database.fixture.ts'
import type { Context } from '../db/index.ts'
import { fileCallsOf } from '../file-calls.fixture.ts'
import { silentLog } from '../log.ts'
import {
  journalLedger,
  type LedgerJournal,
  openJournal,
  rebuildLedger,
  repairJournal,
  sealLedger,
  verifyLedger,
} from './index.ts'

let database: TestDatabase
let ctx: Context
let root: string
let path: string
let said: object[]

beforeAll(async () => {
  database = await openTestDatabase()
  ctx = { ...database.ctx, log: { ...silentLog, error: (fields) => said.push(fields) } }
})
afterAll(() => database.close())
beforeEach(async () => {
  await database.clear()
  root = await mkdtemp(join(tmpdir(), 'plimsoll-journal-'))
  path = join(root, 'ledger.log')
  said = []
})
afterEach(() => rm(root, { recursive: true, force: true }))

const write = async (count: number) => {
  for (let n = 0; n < count; n++)
    await database.ctx.transaction((tx) => tx.audit({ action: 'test.act', subject: `s${n}` }))
  await sealLedger(ctx)
}
/** As a start of the platform. */
const restart = async <T>(work: (journal: LedgerJournal) => Promise<T>) => {
  await using journal = await openJournal(path)
  await journalLedger(ctx, journal)
  return await work(journal)
}
const verify = () => verifyLedger(ctx, path)
const firstLines = async (count: number) =>
  `${(await readFile(path, 'utf8')).split('\n').slice(0, count).join('\n')}${count > 0 ? '\n' : ''}`
const gone = (position: string, reason = /was journalled and is gone/) => ({
  ok: false,
  broken: { position, where: 'journal', reason: expect.stringMatching(reason) },
})

test.runIf(process.platform === 'linux')(
  'a row is flushed to the journal, then to the mark beside it, before anybody hears that it was written',
  async () => {
    await write(2)
    const folder = basename(root)
    const opened = await fileCallsOf(async () => {
      await using _journal = await openJournal(path)
    })
    expect(opened).toEqual(['truncate ledger.log', 'sync ledger.log', `sync ${folder}`])
    await restart(async (journal) => {
      await write(1)
      expect(await fileCallsOf(() => journalLedger(ctx, journal))).toEqual([
        'appendFile ledger.log',
        'datasync ledger.log',
        'writeFile ledger.log.head.tmp',
        'datasync ledger.log.head.tmp',
        'rename ledger.log.head.tmp to ledger.log.head',
      ])
    })
    await writeFile(path, await firstLines(2))
    const repaired = await fileCallsOf(() => repairJournal(ctx, path, 'a test cut it'))
    expect(repaired.slice(-4)).toEqual([
      'sync ledger.log.repair',
      expect.stringMatching(/^rename ledger.log to ledger.log.before-/),
      'rename ledger.log.repair to ledger.log',
      `sync ${folder}`,
    ])
  },
)

test.each<[string, () => Promise<unknown>, string]>([
  ['emptied', () => truncate(path, 0), '1'],
  ['removed', () => rm(path), '1'],
  ['without its last 30 bytes', async () => truncate(path, (await readFile(path)).length - 30), '9'],
  ['without its last lines', async () => writeFile(path, await firstLines(4)), '5'],
])('a journal in use that is %s shows, and takes later rows whole', async (_, cut, first) => {
  await write(9)
  await restart(async (journal) => {
    await cut()
    expect(await verify()).toMatchObject(gone(first))
    await write(2)
    expect(await journalLedger(ctx, journal)).toBe(2)
  })
  const text = await readFile(path, 'utf8')
  expect(text).not.toContain('\0')
  expect(text.match(/"position":"(10|11)"/g)).toHaveLength(2)
  const missing = { presentUntil: String(Number(first) - 1), missingUntil: '9', writtenTo: '9' }
  expect(said).toMatchObject([missing])
  expect(await verify()).toMatchObject(gone(first, /position 9|it alone/))
})

test.each([0, 3])('a journal cut to %i lines before a start is not filled again until it is repaired', async (kept) => {
  await write(9)
  await restart(async () => {})
  await writeFile(path, await firstLines(kept))
  await write(1)
  for (const start of [1, 2]) {
    await restart(async (journal) => expect(journal.gap).toEqual({ after: BigInt(kept), until: 9n }))
    expect(said).toHaveLength(start)
    expect(await verify()).toMatchObject(gone(String(kept + 1)))
  }
  await restart(async (journal) => {
    const cut = await readFile(path)
    const repair = await repairJournal(ctx, path, 'a test cut it')
    expect(repair).toMatchObject({ restored: 9 - kept, records: 10 })
    expect((await readFile(repair.kept ?? '')).equals(cut)).toBe(true)
    await sealLedger(ctx)
    expect(await journalLedger(ctx, journal)).toBe(1)
    expect(journal.gap).toBeUndefined()
  })
  expect(await verify()).toMatchObject({ ok: true, verified: 11, unjournaled: 0 })
  expect(await readFile(path, 'utf8')).toContain('a test cut it')
  await write(1) // waits for the journal, and is not gone
  expect(await repairJournal(ctx, path, 'again')).toMatchObject({ restored: 0, kept: null })
})

test.each(['database', 'head file'])('a cut shows when the mark of the %s is taken away too', async (where) => {
  await write(5)
  await restart(async () => {})
  await truncate(path, 0)
  if (where === 'database') await sql`delete from ledger_mark`.execute(ctx.db)
  else await rm(`${path}.head`)
  expect(await verify()).toMatchObject(gone('1'))
  await restart(async (journal) => expect(journal.gap).toEqual({ after: 0n, until: 5n }))
  expect(await verify()).toMatchObject(gone('1'))
})

/** Rewrites rows and chain in the database, with its mark, as its owner can. */
async function rewriteDatabase() {
  for (const table of ['audit', 'ledger_row', 'ledger_seal'])
    await sql`alter table ${sql.table(table)} disable trigger user`.execute(ctx.db)
  await sql`update audit set subject = 'other' where seq = 2`.execute(ctx.db)
  await sql`update ledger_row set subject = 'other' where seq = 2`.execute(ctx.db)
  await sql`delete from ledger_seal`.execute(ctx.db)
  await sql`insert into ledger_pending (seq) select seq from ledger_row`.execute(ctx.db)
  await sealLedger(ctx)
  await sql`update ledger_mark set hash = s.hash from ledger_seal s where s.position = ledger_mark.position`.execute(
    ctx.db,
  )
  for (const table of ['audit', 'ledger_row', 'ledger_seal'])
    await sql`alter table ${sql.table(table)} enable trigger user`.execute(ctx.db)
}

test.each([1, 0])(
  'rows rewritten in the database and cut from the journal (%i left) are not taken over',
  async (kept) => {
    await write(5)
    await restart(async () => {})
    await rewriteDatabase()
    await writeFile(path, await firstLines(kept))
    expect(await verify()).toMatchObject(gone(String(kept + 1)))
    await expect(restart(async () => {})).rejects.toMatchObject({ code: 'ledger.diverged' })
    await expect(repairJournal(ctx, path, 'hide it')).rejects.toMatchObject({ code: 'ledger.diverged' })
    expect(await readFile(path, 'utf8')).toBe(await firstLines(kept))
  },
)

/** Five journalled rows; then database and journal are written anew, and only the head beside it is the old one. */
async function rewriteAllButHead(): Promise<void> {
  await write(5)
  await restart(async () => {})
  const head = await readFile(`${path}.head`)
  await rewriteDatabase()
  await rm(path)
  await rm(`${path}.head`)
  await sql`delete from ledger_mark`.execute(ctx.db)
  await restart(async () => {})
  await writeFile(`${path}.head`, head)
}

test('rows rewritten in database and journal differ from the head beside it', async () => {
  await rewriteAllButHead()
  expect(await verify()).toMatchObject(gone('5', /not the one that was journalled/))
})

test('a row that waits for the journal is fine for a minute', async () => {
  await write(3)
  expect(await verify()).toMatchObject({ ok: true, unjournaled: 3 })
  await sql`alter table ledger_seal disable trigger user`.execute(ctx.db)
  await sql`update ledger_seal set sealed_at = sealed_at - interval '61 seconds' where position >= 2`.execute(ctx.db)
  await sql`alter table ledger_seal enable trigger user`.execute(ctx.db)
  expect(await verify()).toMatchObject(gone('2', /more than a minute ago/))
})

test('a row that was changed while it waited for the journal does not enter it', async () => {
  await write(2)
  await restart(async () => {})
  const whole = await readFile(path, 'utf8')
  await write(2)
  await sql`alter table ledger_row disable trigger user`.execute(ctx.db)
  await sql`update ledger_row set subject = 'other' where seq = (select max(seq) from ledger_row)`.execute(ctx.db)
  await sql`alter table ledger_row enable trigger user`.execute(ctx.db)
  await expect(restart(async () => {})).rejects.toMatchObject({ code: 'ledger.diverged', details: { position: '4' } })
  expect(await readFile(path, 'utf8')).toBe(whole)
})

test('repairJournal() replaces a damaged line', async () => {
  await write(4)
  await restart(async () => {})
  await writeFile(path, (await readFile(path, 'utf8')).replace('"s2"', '"xx"'))
  expect(await repairJournal(ctx, path, 'a bad sector')).toMatchObject({ restored: 1, records: 4 })
  await restart(async () => {})
  expect(await verify()).toMatchObject({ ok: true })
})

test.each<[string, () => Promise<unknown>]>([
  ['without its last lines', async () => writeFile(path, await firstLines(3))],
  ['removed', () => rm(path)],
  ['torn within a line that was whole', async () => truncate(path, (await readFile(path)).length - 30)],
  [
    'cut, with the mark of the database taken away',
    async () => {
      await truncate(path, 0)
      await sql`delete from ledger_mark`.execute(ctx.db)
    },
  ],
  [
    'cut, with the head file taken away',
    async () => {
      await truncate(path, 0)
      await rm(`${path}.head`)
    },
  ],
])('rebuildLedger() does not take a journal that is %s for whole', async (_, cut) => {
  await write(5)
  await restart(async () => {})
  await cut()
  await expect(rebuildLedger(ctx, path, 'a test')).rejects.toMatchObject({
    kind: 'precondition',
    code: 'ledger.journal_cut',
    message: expect.stringMatching(/ends at position \d, and was written to position 5/),
    details: { action: expect.stringContaining('plimsoll audit repair') },
  })
})

test('rebuildLedger() does not take a journal that was written anew for the one that was', async () => {
  await rewriteAllButHead()
  await expect(rebuildLedger(ctx, path, 'hide it')).rejects.toMatchObject({ code: 'ledger.journal_damaged' })
})

test.runIf(process.platform === 'linux')(
  'rebuildLedger() takes rows and marks that were rewritten in the database back',
  async () => {
    await write(5)
    await restart(async () => {})
    await rewriteDatabase()
    const calls = await fileCallsOf(async () => {
      expect(await rebuildLedger(ctx, path, 'rewritten')).toMatchObject({ records: 5, restored: 4 })
    })
    const kept = calls[0]?.split(' ')[1]
    expect(kept).toMatch(/^ledger.log.replaced-/)
    expect(calls).toEqual([`appendFile ${kept}`, `sync ${kept}`, `sync ${basename(root)}`])
    await restart(async () => {})
    await sealLedger(ctx)
    await restart(async () => {})
    expect(await verify()).toMatchObject({ ok: true, verified: 6 })
  },
)
