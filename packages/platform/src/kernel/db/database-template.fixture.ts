import { createHash } from 'node:crypto'
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MIGRATIONS } from '../../../migrations/all.ts'
import { openPglite } from '../../adapters/pglite/backend.ts'
import { migrate, openDatabase, type SqlBackend } from './index.ts'

const ROOT = join(import.meta.dirname, '../../../../..')
const CACHE = join(ROOT, 'node_modules/.cache/plimsoll-test-database')
const MIGRATION_FILES = join(import.meta.dirname, '../../../migrations')

/** Names the PGlite and the migrations that a template was made with. */
async function templateName(isMigrated: boolean): Promise<string> {
  const hash = createHash('sha256')
  hash.update(await readFile(join(ROOT, 'node_modules/@electric-sql/pglite/package.json')))
  for (const file of isMigrated ? (await readdir(MIGRATION_FILES)).sort() : [])
    hash.update(file).update(await readFile(join(MIGRATION_FILES, file)))
  return `${isMigrated ? 'migrated' : 'empty'}-${hash.digest('hex').slice(0, 16)}`
}

/** Made once; of two test files that make it at once, either one's is kept. */
async function requireTemplate(isMigrated: boolean): Promise<string> {
  const template = join(CACHE, await templateName(isMigrated))
  if ((await readdir(template).catch(() => [])).length > 0) return template
  await mkdir(CACHE, { recursive: true })
  const making = await mkdtemp(join(CACHE, 'making-'))
  const backend = await openPglite(making)
  const db = openDatabase(backend)
  if (isMigrated) await migrate(db, backend, MIGRATIONS)
  await db.destroy()
  await rename(making, template).catch(() => rm(making, { recursive: true, force: true }))
  await rm(`${making}.lock`, { force: true })
  return template
}

/** Lays a PGlite, empty or migrated, into a directory of a test: making one takes seconds of processor time, a copy none. */
export async function layDatabase(directory: string, options: { isMigrated: boolean }): Promise<void> {
  await cp(await requireTemplate(options.isMigrated), directory, { recursive: true })
}

/** A PGlite of its own on disk, laid. Its directory goes when it is closed. */
export async function openPgliteCopy(
  options: { isMigrated: boolean },
  limits?: Parameters<typeof openPglite>[1],
): Promise<SqlBackend> {
  const directory = await mkdtemp(join(tmpdir(), 'plimsoll-database-'))
  const remove = () => rm(directory, { recursive: true, force: true })
  try {
    await layDatabase(directory, options)
    const backend = await openPglite(directory, limits)
    return {
      ...backend,
      close: async () => {
        await backend.close()
        await remove()
      },
    }
  } catch (error) {
    await remove()
    throw error
  }
}
