import { join } from 'node:path'
import { MIGRATIONS } from '../../../migrations/all.ts'
import { openFilesBlobStore } from '../../adapters/files/index.ts'
import { openPglite } from '../../adapters/pglite/backend.ts'
import { realClock } from '../clock.ts'
import { migrate, openContext, openDatabase } from '../db/index.ts'
import { openJournal, openSealer } from '../ledger/index.ts'
import { silentLog } from '../log.ts'
import { pinBlobs } from './index.ts'

/** Writes blobs and rows that name them, and says which are acknowledged, until it is killed. */
const [root = '', generation = '0'] = process.argv.slice(2)
const backend = await openPglite(join(root, 'database'))
const db = openDatabase(backend)
await migrate(db, backend, MIGRATIONS)
const ctx = openContext({ db, backend, clock: realClock, log: silentLog })
const store = await openFilesBlobStore(join(root, 'blobs'))
openSealer(ctx, await openJournal(join(root, 'journal.jsonl')), { everyMs: 5 })
process.stdout.write('ready\n')
for (let n = 0; ; n++) {
  const { digest } = await store.put(Buffer.alloc((n % 7) * 40_000 + n, `${generation}/${n}`))
  await ctx.transaction(async (tx) => {
    await pinBlobs(tx, store, { owner: `writer_${generation}`, digests: [digest] })
    await tx.audit({ action: 'test.write', subject: digest })
  })
  process.stdout.write(`${digest}\n`)
}
