import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
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

/** The flight-delay example as it is, on a sample of its flights, in a clean git checkout of its own. */
export async function makeProject(work: string): Promise<string> {
  const project = join(work, 'project')
  const data = join(project, 'data')
  mkdirSync(data, { recursive: true })
  for (const name of ['plimsoll.project.mts', 'steps'])
    cpSync(join(EXAMPLE, name), join(project, name), { recursive: true })
  const definition = join(project, 'plimsoll.project.mts')
  // What the example expects of the whole of its data does not hold for a sample.
  const text = readFileSync(definition, 'utf8').replaceAll(/rowCountBetween\([\d_]+,/g, 'rowCountBetween(1,')
  writeFileSync(definition, text)
  run(process.execPath, ['scripts/with-node.mjs', join(EXAMPLE, 'src/prepare.ts'), join(work, 'whole')])
  await sampleFiles(join(work, 'whole'), data)
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
