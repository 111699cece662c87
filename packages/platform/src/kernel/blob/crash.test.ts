import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, test } from 'vitest'
import { isThorough } from '../../../../../tests/servers.ts'
import { MIGRATIONS } from '../../../migrations/all.ts'
import { openFilesBlobStore } from '../../adapters/files/index.ts'
import { openPglite } from '../../adapters/pglite/backend.ts'
import { realClock } from '../clock.ts'
import { layDatabase } from '../db/database-template.fixture.ts'
import { migrate, openContext, openDatabase } from '../db/index.ts'
import { journalLedger, openJournal, sealLedger, verifyLedger } from '../ledger/index.ts'
import { silentLog } from '../log.ts'
import { seeded } from '../seeded.fixture.ts'

/** Each costs a start. */
const KILLS = isThorough ? 20 : 5
const SEED = 20_010_423

/** Lets the writer acknowledge some blobs, waits a moment more, and kills it. Returns what it acknowledged. */
async function writeUntilKilled(root: string, generation: number, random: () => number): Promise<string[]> {
  const script = new URL('./crash-writer.fixture.ts', import.meta.url).pathname
  const child = spawn(process.execPath, [script, root, String(generation)], { stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  const stopAfter = Math.floor(random() * 25)
  const delayMs = random() * 12
  const acknowledged: string[] = []
  for await (const line of createInterface(child.stdout)) {
    if (line !== 'ready') acknowledged.push(line)
    if (acknowledged.length === stopAfter) setTimeout(() => child.kill('SIGKILL'), delayMs)
  }
  await exited
  expect(child.signalCode).toBe('SIGKILL')
  return acknowledged
}

test(`${KILLS} kills at seeded points: what was acknowledged is there, nothing is half there, the ledger holds`, {
  timeout: 480_000,
}, async () => {
  const root = await mkdtemp(join(tmpdir(), 'plimsoll-crash-'))
  await layDatabase(join(root, 'database'), { isMigrated: true })
  const random = seeded(SEED)
  const acknowledged = new Set<string>()
  for (let generation = 0; generation < KILLS; generation++) {
    for (const digest of await writeUntilKilled(root, generation, random)) acknowledged.add(digest)
  }
  expect(acknowledged.size).toBeGreaterThan(KILLS)

  const store = await openFilesBlobStore(join(root, 'blobs'))
  const stored = new Set<string>()
  for await (const { digest } of store.list()) {
    for await (const _chunk of store.get(digest)); // whole reads are verified
    stored.add(digest)
  }
  const backend = await openPglite(join(root, 'database'))
  const db = openDatabase(backend)
  await migrate(db, backend, MIGRATIONS)
  const ctx = openContext({ db, backend, clock: realClock, log: silentLog })
  const rows = new Set((await db.selectFrom('audit').select('subject').execute()).map((row) => row.subject))
  const pins = new Set((await db.selectFrom('blob_pin').select('digest').execute()).map((row) => row.digest))
  expect(acknowledged.difference(rows)).toEqual(new Set())
  expect(rows.difference(stored)).toEqual(new Set())
  expect(pins).toEqual(rows)

  const journal = await openJournal(join(root, 'journal.jsonl'))
  await journalLedger(ctx, journal)
  await sealLedger(ctx)
  await journalLedger(ctx, journal)
  await journal.close()
  expect(await verifyLedger(ctx, journal.path)).toMatchObject({
    ok: true,
    pending: 0,
    unjournaled: 0,
    verified: (await db.selectFrom('audit').select('seq').execute()).length,
  })
  await db.destroy()
  await rm(root, { recursive: true, force: true })
})
