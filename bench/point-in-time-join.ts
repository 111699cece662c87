import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ColumnType, EntityDefinition, FeatureViewDefinition } from '@plimsoll/sdk/wire'
import { openDuckdbQueryEngine } from '../packages/platform/src/adapters/duckdb/index.ts'
import { type JoinedView, writePointInTimeJoin } from '../packages/platform/src/features/training-set-sql.ts'
import { planView } from '../packages/platform/src/features/view-plan.ts'
import { realClock } from '../packages/platform/src/kernel/clock.ts'
import { isSmall, median as middleOf, noteFigure } from './_figure.ts'

// The point-in-time join of a training set beside the SQL that Feast generates for it: one view, three numbers, a TTL
// of a week. Twice: with the event time alone, which is all that the peer's SQL knows and what `plan` warns of, and with
// a known-at time, as views should have. And the shape of the flight-delay example: five views with 25 windowed features. Each run is a process of
// its own that reads and writes Parquet; CPU and peak memory are that process's.
// Sizes: 1,000,000 × 10,000,000, and 500,000 × 3,000,000 for the windows; with --small a tenth of that.

const THREADS = 2
const MEMORY_BYTES = 1_200 * 2 ** 20
/** The peer may use more, but neither the machine nor the day: beyond this it spills, and is ended. */
const PEER_MEMORY_BYTES = 6 * 2 ** 30
const PEER_LIMIT_MS = 300_000
const TASK_LIMIT_MS = 600_000
const GOAL_SECONDS = 4
const GOAL_GIB = 2
const RUNS = 3
const TTL_HOURS = 168
const HOUR_US = 3_600_000_000

interface Size {
  readonly spine: number
  readonly rows: number
  readonly keys: number
}

interface Task {
  readonly kind: 'data' | 'ours' | 'known' | 'feast' | 'windows'
  readonly folder: string
  readonly size: Size
}

interface Spent {
  readonly wallMs: number
  readonly cpuMs: number
  readonly rssMiB: number
  readonly rows: number
}

const number = (nullable = true): ColumnType => ({ type: 'float64', nullable })
const instant: ColumnType = { type: 'timestamp', zone: 'UTC', nullable: false }
const SCHEMA: Record<string, ColumnType> = {
  key: { type: 'int64', nullable: false },
  happened: instant,
  known: instant,
  a: number(),
  b: number(),
  c: number(),
  n: { type: 'int32', nullable: false },
  late: { type: 'int32', nullable: false },
}
const ENTITY: EntityDefinition = { kind: 'entity', name: 'thing', keys: [{ name: 'key', type: 'int64' }] }

function viewOf(
  features: FeatureViewDefinition['features'],
  change: Partial<FeatureViewDefinition>,
): FeatureViewDefinition {
  return {
    kind: 'feature-view',
    name: 'view',
    entity: 'thing',
    source: 'rows',
    keyColumns: {},
    eventTime: 'happened',
    ttlUs: null,
    features,
    online: true,
    ...change,
  }
}

const NEWEST = viewOf(
  Object.fromEntries(['a', 'b', 'c'].map((column) => [column, { from: 'column', column, type: 'float64' }])),
  { ttlUs: TTL_HOURS * HOUR_US },
)

/** The same with late rows: what was not known yet is not seen. */
const NEWEST_KNOWN: FeatureViewDefinition = { ...NEWEST, knownAt: 'known' }

/** Mean, share and count over two windows, as the example's views have. */
function windowed(hours: readonly number[]): FeatureViewDefinition {
  const features: FeatureViewDefinition['features'] = {}
  for (const hour of hours) {
    features[`mean_${hour}`] = {
      from: 'aggregate',
      function: 'mean',
      column: 'n',
      windowUs: hour * HOUR_US,
      type: 'float64',
    }
    features[`share_${hour}`] = {
      from: 'aggregate',
      function: 'mean',
      column: 'late',
      windowUs: hour * HOUR_US,
      type: 'float64',
    }
    if (hours.length === 2)
      features[`count_${hour}`] = { from: 'aggregate', function: 'count', windowUs: hour * HOUR_US, type: 'int64' }
  }
  return viewOf(features, { knownAt: 'known' })
}

const WINDOWED = [windowed([1, 3]), windowed([24, 168]), windowed([1, 3]), windowed([3, 6]), windowed([1])].map(
  (view, index) => (index === 4 ? { ...view, features: { only: view.features.mean_1! } } : view),
)

const VIEWS = { ours: [NEWEST], known: [NEWEST_KNOWN], windows: WINDOWED }

async function makeData({ folder, size }: Task): Promise<number> {
  const engine = openDuckdbQueryEngine({ tempDirectory: folder, threads: THREADS })
  // Thirty days; keys by a hash, so that any two runs have equal data.
  const span = 30 * 24 * HOUR_US
  const time = (seed: number) => `make_timestamptz(978307200000000 + CAST(hash(i * 31 + ${seed}) % ${span} AS BIGINT))`
  const rows = `SELECT CAST(hash(i) % ${size.keys} AS BIGINT) AS key, ${time(7)} AS happened, i / 7.0 AS a, i % 1000 / 3.0 AS b, CAST(i AS DOUBLE) AS c, CAST(hash(i + 5) % 400 AS INTEGER) - 60 AS n, CAST(hash(i + 5) % 5 = 0 AS INTEGER) AS late FROM range(${size.rows}) t(i)`
  const known = `SELECT *, happened + to_microseconds(3600000000 + CAST(hash(c) % 3 AS BIGINT) * 3600000000) AS known FROM (${rows}) ORDER BY happened, c`
  const spine = `SELECT i AS id, CAST(hash(i + 11) % ${size.keys} AS BIGINT) AS key, ${time(13)} AS t FROM range(${size.spine}) t(i)`
  await engine.write({ sql: known, inputs: {}, output: { directory: join(folder, 'rows') } })
  await engine.write({ sql: spine, inputs: {}, output: { directory: join(folder, 'spine') } })
  await engine.close()
  return size.rows
}

async function joinOurs({ kind, folder }: Task & { kind: keyof typeof VIEWS }): Promise<number> {
  const engine = openDuckdbQueryEngine({ tempDirectory: folder, threads: THREADS, memoryLimitBytes: MEMORY_BYTES })
  const workDir = await mkdtemp(join(folder, 'ours-'))
  const source = { format: 'parquet' as const, files: [join(folder, 'rows/part-00000.parquet')], columns: SCHEMA }
  const views = VIEWS[kind].map((view, index): JoinedView => {
    const features = Object.keys(view.features)
    return {
      plan: planView(view, ENTITY, features),
      source,
      schema: SCHEMA,
      spineKeys: ['key'],
      names: features.map((feature) => `v${index}__${feature}`),
    }
  })
  const spine = { format: 'parquet' as const, files: [join(folder, 'spine/part-00000.parquet')] }
  const { rowCount } = await writePointInTimeJoin({
    engine,
    spine,
    spineColumns: ['id', 'key', 't'],
    spineTime: 't',
    views,
    workDir,
    output: join(workDir, 'out'),
  })
  await engine.close()
  return rowCount
}

/** The shape of `get_historical_features` templates: every pair within the TTL, then the newest, then back to the spine. */
const FEAST_SQL = `WITH entity_dataframe AS (SELECT *, t AS entity_timestamp, CAST(key AS VARCHAR) || CAST(t AS VARCHAR) AS entity_row_unique_id FROM spine),
entities AS (SELECT key, entity_timestamp, entity_row_unique_id FROM entity_dataframe GROUP BY ALL),
base AS (SELECT r.*, e.entity_timestamp, e.entity_row_unique_id FROM feature_rows r JOIN entities e ON r.happened <= e.entity_timestamp AND r.happened >= e.entity_timestamp - INTERVAL ${TTL_HOURS} HOUR AND r.key = e.key),
latest AS (SELECT entity_row_unique_id, happened FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY entity_row_unique_id ORDER BY happened DESC) AS row_number FROM base) WHERE row_number = 1),
cleaned AS (SELECT base.* FROM base INNER JOIN latest USING (entity_row_unique_id, happened))
SELECT d.id, d.key, d.t, c.a, c.b, c.c FROM entity_dataframe d LEFT JOIN cleaned c USING (entity_row_unique_id)`

async function joinFeast({ folder }: Task): Promise<number> {
  const engine = openDuckdbQueryEngine({ tempDirectory: folder, threads: THREADS, memoryLimitBytes: PEER_MEMORY_BYTES })
  const directory = await mkdtemp(join(folder, 'feast-'))
  const read = (name: string) => ({ format: 'parquet' as const, files: [join(folder, name, 'part-00000.parquet')] })
  const { rowCount } = await engine.write({
    sql: FEAST_SQL,
    inputs: { spine: read('spine'), feature_rows: read('rows') },
    output: { directory },
  })
  await engine.close()
  return rowCount
}

function joinAs(kind: keyof typeof VIEWS): (task: Task) => Promise<number> {
  return (task) => joinOurs({ ...task, kind })
}

const TASKS = {
  data: makeData,
  ours: joinAs('ours'),
  known: joinAs('known'),
  feast: joinFeast,
  windows: joinAs('windows'),
}

/** Runs one task in this process and tells the parent what it took. */
async function runTask(task: Task): Promise<void> {
  process.once('disconnect', () => process.exit(1)) // the measurement was ended
  const started = realClock.monotonicMs()
  const rows = await TASKS[task.kind](task)
  const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage()
  const spent: Spent = {
    wallMs: realClock.monotonicMs() - started,
    cpuMs: (userCPUTime + systemCPUTime) / 1_000,
    rssMiB: maxRSS / 1_024,
    rows,
  }
  process.send!(spent, () => process.exit(0))
}

async function spend(task: Task): Promise<Spent> {
  const child = fork(import.meta.filename, [JSON.stringify(task)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const limitMs = task.kind === 'feast' ? PEER_LIMIT_MS : TASK_LIMIT_MS
  const timer = setTimeout(() => child.kill('SIGKILL'), limitMs)
  const [message] = await Promise.race([once(child, 'message'), once(child, 'exit')])
  clearTimeout(timer)
  if (typeof message !== 'object' || message === null)
    throw new Error(`The task ${task.kind} ended with ${String(message)}, after ${limitMs} ms at the most`)
  return message as Spent // sent by runTask
}

async function median(task: Task, runs: number): Promise<Spent> {
  const spent: Spent[] = []
  for (let run = 0; run < runs; run += 1) spent.push(await spend(task))
  const middle = (pick: (one: Spent) => number) => middleOf(spent.map(pick))
  return {
    wallMs: middle(({ wallMs }) => wallMs),
    cpuMs: middle(({ cpuMs }) => cpuMs),
    rssMiB: middle(({ rssMiB }) => rssMiB),
    rows: spent[0]!.rows,
  }
}

const shown = ({ wallMs, cpuMs, rssMiB, rows }: Spent) =>
  `${(wallMs / 1_000).toFixed(2).padStart(7)} s  ${(cpuMs / 1_000).toFixed(2).padStart(7)} CPU-s  ${(rssMiB / 1_024).toFixed(2).padStart(5)} GiB  ${rows} rows`
const print = (line: string) => process.stdout.write(`${line}\n`)

async function withData(size: Size, work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'plimsoll-bench-'))
  await mkdir(folder, { recursive: true })
  try {
    await spend({ kind: 'data', folder, size })
    await work(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** The peer's SQL knows no known-at time: by it, ours does more than the peer. */
function noteJoin(claim: string, ours: Spent, feast: Spent): void {
  const peer = 'the SQL that Feast generates, by event time'
  noteFigure({
    claim: `${claim}: time`,
    unit: 's',
    figure: ours.wallMs / 1_000,
    goal: GOAL_SECONDS,
    peer,
    peerFigure: feast.wallMs / 1_000,
  })
  noteFigure({
    claim: `${claim}: processor`,
    unit: 'CPU s',
    figure: ours.cpuMs / 1_000,
    peer,
    peerFigure: feast.cpuMs / 1_000,
  })
  noteFigure({
    claim: `${claim}: memory`,
    unit: 'GiB',
    figure: ours.rssMiB / 1_024,
    goal: GOAL_GIB,
    peer,
    peerFigure: feast.rssMiB / 1_024,
  })
}

const verdict = ({ wallMs, rssMiB }: Spent) =>
  `goal ${GOAL_SECONDS} s ${wallMs / 1_000 <= GOAL_SECONDS ? 'met' : 'missed'}, ${GOAL_GIB} GiB ${rssMiB / 1_024 <= GOAL_GIB ? 'met' : 'missed'}`

async function measure(isFull: boolean): Promise<void> {
  const size = isFull
    ? { spine: 1_000_000, rows: 10_000_000, keys: 100_000 }
    : { spine: 100_000, rows: 1_000_000, keys: 10_000 }
  print(
    `Point-in-time join, ${size.spine} × ${size.rows} rows, ${size.keys} keys, ${THREADS} threads, median of ${RUNS}`,
  )
  await withData(size, async (folder) => {
    const ours = await median({ kind: 'ours', folder, size }, RUNS)
    print(`    ours, by event time     ${shown(ours)}  ${verdict(ours)}`)
    const known = await median({ kind: 'known', folder, size }, RUNS)
    print(`    ours, by known-at time  ${shown(known)}  ${verdict(known)}`)
    const feast = await median({ kind: 'feast', folder, size }, isFull ? 1 : RUNS)
    print(`    feast, by event time    ${shown(feast)}`)
    const sizes = `${size.spine / 1e6}M × ${size.rows / 1e6}M`
    noteJoin(`point-in-time join by event time, ${sizes}`, ours, feast)
    noteJoin(`point-in-time join by known-at time, ${sizes}`, known, feast)
    print(
      `    ratio, by event time    ${(feast.wallMs / ours.wallMs).toFixed(1)} × time, ${(feast.cpuMs / ours.cpuMs).toFixed(1)} × CPU, ${(feast.rssMiB / ours.rssMiB).toFixed(1)} × memory`,
    )
  })
  const flights = isFull ? { spine: 500_000, rows: 3_000_000, keys: 229 } : { spine: 100_000, rows: 600_000, keys: 229 }
  const features = WINDOWED.reduce((sum, view) => sum + Object.keys(view.features).length, 0)
  print(
    `Windowed features, ${flights.spine} × ${flights.rows} rows, ${flights.keys} keys, ${features} features in ${WINDOWED.length} views`,
  )
  await withData(flights, async (folder) => {
    print(`    ours    ${shown(await median({ kind: 'windows', folder, size: flights }, RUNS))}`)
  })
}

const [given] = process.argv.slice(2)
if (given?.startsWith('{'))
  await runTask(JSON.parse(given) as Task) // written by spend
else await measure(!isSmall)
