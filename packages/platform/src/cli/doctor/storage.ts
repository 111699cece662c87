import { join } from 'node:path'
import type { Config } from '../../kernel/config/index.ts'
import { countText } from '../../kernel/count-text.ts'
import { isPlimsollError } from '../../kernel/errors.ts'
import { listSetAside } from '../../kernel/set-aside.ts'
import type { Finding } from './finding.ts'

const DATABASE_TIMEOUT_MS = 5_000

async function databaseFinding({ database, dataDir }: Config): Promise<Finding> {
  const about = { group: 'storage', name: 'database' } as const
  if (database.kind === 'pglite') return { ...about, state: 'ok', found: `PGlite in ${join(dataDir, 'database')}` }
  const { askPostgres } = await import('../../processes/native-probe.ts')
  try {
    const { version, place } = await askPostgres(database.url!, DATABASE_TIMEOUT_MS) // the settings' rules ask for it
    return { ...about, state: 'ok', found: `PostgreSQL ${version} at ${place}` }
  } catch (thrown) {
    if (!isPlimsollError(thrown)) throw thrown
    const cost = `plimsoll up cannot start. ${thrown.details.action ?? ''}`.trim()
    return { ...about, state: 'problem', found: thrown.message, cost }
  }
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

/** Only where there are any: files of predictions that the gateway could not ship as they were. */
function setAsideFindings({ dataDir }: Config): Finding[] {
  const directory = join(dataDir, 'gateway', 'segments')
  const files = listSetAside(directory)
  if (files.length === 0) return []
  return [
    {
      group: 'storage',
      name: 'predictions put aside',
      state: 'missing',
      found: `${countText(files.length, 'file')} in ${directory}`,
      cost: "Records in them were damaged or refused; the gateway's log said why. Remove them when they have been looked at",
    },
  ]
}

/** Where rows and bytes would go with the settings that are found here. */
export async function storageFindings(config: Config): Promise<Finding[]> {
  return [await databaseFinding(config), blobFinding(config), ...setAsideFindings(config)]
}
