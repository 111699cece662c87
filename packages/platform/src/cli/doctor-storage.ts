import { join } from 'node:path'
import { type Config, loadConfig, readEnvironment } from '../kernel/config/index.ts'
import { isPlimsollError } from '../kernel/errors.ts'
import type { Finding } from './doctor-checks.ts'

function databaseFinding({ database, dataDir }: Config): Finding {
  const found =
    database.kind === 'pglite' ? `PGlite in ${join(dataDir, 'database')}` : 'PostgreSQL, at the address in database.url'
  return { group: 'storage', name: 'database', state: 'ok', found }
}

function blobFinding({ blob, dataDir }: Config): Finding {
  if (blob.kind === 'files')
    return { group: 'storage', name: 'blobs', state: 'ok', found: `files in ${join(dataDir, 'blobs')}` }
  const where = blob.endpoint === undefined ? `Amazon's ${blob.region}` : `${blob.endpoint} (${blob.region})`
  const keys = blob.accessKeyId === undefined ? 'with what the SDK finds' : 'with the keys of the settings'
  return {
    group: 'storage',
    name: 'blobs',
    state: 'ok',
    found: `S3 bucket ${blob.bucket}, prefix "${blob.prefix}", at ${where}, ${keys}`,
  }
}

function powerFinding(kind: Config['database']['kind']): Finding {
  const common = { group: 'durability', name: 'loss of power' } as const
  if (kind === 'postgres')
    return { ...common, state: 'ok', found: 'as PostgreSQL is set up (fsync); the journal is flushed' }
  return {
    ...common,
    state: 'missing',
    found: 'not survived by the embedded database, which never flushes',
    cost: 'Use PostgreSQL (database.kind: postgres) where it matters; blobs and the journal are flushed',
  }
}

/** Where rows and bytes would go with the settings that are found here, and what that survives. */
export function storageFindings(dataDir: string): Finding[] {
  try {
    const { config } = loadConfig({ flags: { dataDir }, env: readEnvironment() })
    return [databaseFinding(config), blobFinding(config), powerFinding(config.database.kind)]
  } catch (error) {
    if (!isPlimsollError(error)) throw error
    const faults = error.details.faults ?? []
    return [
      {
        group: 'storage',
        name: 'settings',
        state: 'problem',
        found: error.message,
        cost: faults.map((fault) => `${fault.pointer} ${fault.detail}`).join('; '),
      },
      powerFinding('pglite'),
    ]
  }
}
