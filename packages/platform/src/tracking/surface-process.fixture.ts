import { parseArgs } from 'node:util'
import Fastify from 'fastify'
import { MIGRATIONS } from '../../migrations/all.ts'
import { openFilesBlobStore } from '../adapters/files/index.ts'
import { openPglite } from '../adapters/pglite/backend.ts'
import { realClock } from '../kernel/clock.ts'
import { migrate, openContext, openDatabase } from '../kernel/db/index.ts'
import { silentLog } from '../kernel/log.ts'
import { mlflowTrackingEndpoints, registerMlflowSurface } from './index.ts'

/** The tracking surface as a process of its own, for tests that kill it. Prints its address on one line. */
const { values } = parseArgs({ options: { directory: { type: 'string' } } })
const directory = values.directory!
const backend = await openPglite(`${directory}/database`)
const db = openDatabase(backend)
await migrate(db, backend, MIGRATIONS)
const blobs = await openFilesBlobStore(`${directory}/blobs`)
const ctx = openContext({ db, backend, clock: realClock, log: silentLog })
const app = Fastify()
await registerMlflowSurface(app, {
  endpoints: mlflowTrackingEndpoints({ blobs }),
  contextOf: async () => ctx,
  clock: realClock,
  log: silentLog,
})
process.stdout.write(`${await app.listen({ host: '127.0.0.1', port: 0 })}\n`)
