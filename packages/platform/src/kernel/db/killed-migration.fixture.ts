import { MIGRATIONS } from '../../../migrations/all.ts'
import { openPglite } from '../../adapters/pglite/backend.ts'
import { migrate, openDatabase } from './index.ts'
import { cutting, describeSchema } from './schema.fixture.ts'

/** Migrates a directory, and is killed before the statement of that number; 0 for never. Prints the schema at the end. */
const [directory = '', at = '0'] = process.argv.slice(2)
const backend = cutting(await openPglite(directory), {
  at: () => Number(at),
  isWhole: true,
  cut: async () => {
    process.kill(process.pid, 'SIGKILL')
    await new Promise(() => {})
  },
})
const db = openDatabase(backend)
await migrate(db, backend, MIGRATIONS)
process.stdout.write(JSON.stringify(await describeSchema(db)))
await db.destroy()
