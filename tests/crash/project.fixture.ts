import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join, resolve } from 'node:path'
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'

const ROOT = resolve(import.meta.dirname, '../..')
const EXAMPLE = join(ROOT, 'examples/flight-delay')
/** One flight in so many is kept, so that a training takes seconds. */
const SAMPLE = 20

function run(command: string, args: readonly string[]): void {
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8', cwd: ROOT })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}: ${stderr}`)
}

async function withDuckdb<Result>(work: (connection: DuckDBConnection) => Promise<Result>): Promise<Result> {
  const instance = await DuckDBInstance.create(':memory:', { threads: '2', memory_limit: '1000MB' })
  const connection = await instance.connect()
  await connection.run("set timezone = 'UTC'")
  try {
    return await work(connection)
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
}

const quoted = (path: string) => `'${path.replaceAll("'", "''")}'`

async function sampleFiles(from: string, to: string): Promise<void> {
  await withDuckdb(async (connection) => {
    for (const name of readdirSync(from).filter((file) => file.endsWith('.parquet')))
      await connection.run(
        `copy (select * from read_parquet(${quoted(join(from, name))}) where hash(flight_id) % ${SAMPLE} = 0) to ${quoted(join(to, name))} (format parquet)`,
      )
  })
}

/** Made once by the example's own program, and again when that or its data changes. Returns the folder that holds it. */
async function requireSample(work: string): Promise<string> {
  const program = join(EXAMPLE, 'src/prepare.ts')
  const made = createHash('sha256')
  const packages = ['vega-datasets', 'tz-lookup', '@duckdb/node-api'].map((name) =>
    join('node_modules', name, 'package.json'),
  )
  for (const path of [program, import.meta.filename, ...packages]) made.update(readFileSync(resolve(ROOT, path)))
  const name = `plimsoll-flights-${SAMPLE}-${made.digest('hex').slice(0, 16)}`
  const sample = join(ROOT, 'node_modules/.cache', name)
  if (existsSync(sample)) return sample
  run(process.execPath, ['scripts/with-node.mjs', program, join(work, 'whole')])
  mkdirSync(join(ROOT, 'node_modules/.cache'), { recursive: true })
  const making = mkdtempSync(`${sample}-`)
  try {
    await sampleFiles(join(work, 'whole'), making)
    renameSync(making, sample)
  } catch (error) {
    rmSync(making, { recursive: true, force: true })
    if (!existsSync(sample)) throw error // else another run on this checkout was faster
  }
  return sample
}

/** The flight-delay example as it is, on a sample of its flights, in a clean git checkout of its own. */
export async function makeProject(work: string): Promise<string> {
  const project = join(work, 'project')
  const data = join(project, 'data')
  mkdirSync(project, { recursive: true })
  for (const name of ['plimsoll.project.mts', 'steps'])
    cpSync(join(EXAMPLE, name), join(project, name), { recursive: true })
  const definition = join(project, 'plimsoll.project.mts')
  // What the example expects of the whole of its data does not hold for a sample.
  const text = readFileSync(definition, 'utf8').replaceAll(/rowCountBetween\([\d_]+,/g, 'rowCountBetween(1,')
  writeFileSync(definition, text)
  cpSync(await requireSample(work), data, { recursive: true, preserveTimestamps: true })
  writeFileSync(join(project, '.gitignore'), 'data/\n')
  const identity = ['-c', 'user.name=crash', '-c', 'user.email=crash@example.org', '-c', 'commit.gpgsign=false']
  for (const args of [
    ['init', '--quiet'],
    ['add', '--all'],
    ['commit', '--quiet', '--message', 'flight delay'],
  ])
    run('git', ['-C', project, ...identity, ...args])
  return project
}

/** Rows of flights in April, with the columns that a route asks for. */
export async function readRows(project: string, columns: readonly string[]): Promise<Record<string, unknown>[]> {
  return withDuckdb(async (connection) => {
    const names = columns.map((name) => `"${name}"`).join(', ')
    const path = quoted(join(project, 'data/flights-2001-04.parquet'))
    const found = await connection.runAndReadAll(
      `select ${names} from read_parquet(${path}) order by date, flight_id limit 40`,
    )
    return found.getRowObjectsJson()
  })
}
