import { existsSync, readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'

/**
 * The 25 features of the example, computed from the monthly files by plain SQL and by nothing of the platform: the oracle
 * that its training sets are compared with. Windows are (T − w, T] on the time at which a row was known.
 *
 * Each window is the difference of two running totals, found by ASOF joins. Totals are of integers, so no digit is lost.
 */
export interface WindowView {
  readonly name: string
  /** Columns of an event that make its key, and the spine's columns that are matched with them. */
  readonly eventKey: readonly string[]
  readonly spineKey: readonly string[]
  readonly knownAt: string
  readonly features: Readonly<Record<string, { of: 'n' | 'mean_delay' | 'late_share'; hours: number }>>
}

const window = (of: 'n' | 'mean_delay' | 'late_share', hours: number) => ({ of, hours })

export const HONEST_VIEWS: readonly WindowView[] = [
  {
    name: 'origin_delays',
    eventKey: ['origin'],
    spineKey: ['origin'],
    knownAt: 'landed_at',
    features: {
      mean_delay_1h: window('mean_delay', 1),
      late_share_1h: window('late_share', 1),
      n_1h: window('n', 1),
      mean_delay_3h: window('mean_delay', 3),
      late_share_3h: window('late_share', 3),
      n_3h: window('n', 3),
    },
  },
  {
    name: 'departures',
    eventKey: ['origin'],
    spineKey: ['origin'],
    knownAt: 'reported_at',
    features: { n_1h: window('n', 1) },
  },
  {
    name: 'route_delays',
    eventKey: ['origin', 'destination'],
    spineKey: ['origin', 'destination'],
    knownAt: 'landed_at',
    features: {
      mean_delay_24h: window('mean_delay', 24),
      late_share_24h: window('late_share', 24),
      n_24h: window('n', 24),
      mean_delay_7d: window('mean_delay', 168),
      late_share_7d: window('late_share', 168),
      n_7d: window('n', 168),
    },
  },
  {
    name: 'arrivals_at_destination',
    eventKey: ['destination'],
    spineKey: ['destination'],
    knownAt: 'landed_at',
    features: {
      mean_delay_1h: window('mean_delay', 1),
      late_share_1h: window('late_share', 1),
      mean_delay_3h: window('mean_delay', 3),
      late_share_3h: window('late_share', 3),
    },
  },
  {
    name: 'arrivals_at_origin',
    eventKey: ['destination'],
    spineKey: ['origin'],
    knownAt: 'landed_at',
    features: {
      mean_delay_1h: window('mean_delay', 1),
      late_share_1h: window('late_share', 1),
      n_1h: window('n', 1),
      mean_delay_3h: window('mean_delay', 3),
      late_share_3h: window('late_share', 3),
    },
  },
]

/** Columns of the model in order: three of the request, then `view__feature`. */
export const MODEL_COLUMNS: readonly string[] = [
  'hour',
  'day_of_week',
  'distance',
  ...HONEST_VIEWS.flatMap((view) => Object.keys(view.features).map((feature) => `${view.name}__${feature}`)),
]

const TOTAL = { n: '1', mean_delay: 'delay_clipped', late_share: 'late' } as const

function totalsSql(view: WindowView): string {
  const key = view.eventKey.map((column, index) => `${column} as k${index}`).join(', ')
  const keys = view.eventKey.map((_, index) => `k${index}`).join(', ')
  const running = (name: string) => `cast(sum(${name}) over (partition by ${keys} order by t) as bigint) as ${name}`
  return `select ${keys}, t, ${['n', 'mean_delay', 'late_share'].map(running).join(', ')} from (
    select ${key}, ${view.knownAt} as t, sum(${TOTAL.n}) as n, sum(${TOTAL.mean_delay}) as mean_delay, sum(${TOTAL.late_share}) as late_share
    from flights group by all)`
}

function differenceSql(of: 'n' | 'mean_delay' | 'late_share', from: string): string {
  const count = `(coalesce(now.n, 0) - coalesce(${from}.n, 0))`
  if (of === 'n') return `cast(${count} as bigint)`
  return `case when ${count} > 0 then (coalesce(now.${of}, 0) - coalesce(${from}.${of}, 0)) / cast(${count} as double) end`
}

/** One table per view: `row_id` of the spine and the view's features. */
function viewSql(view: WindowView): string {
  const hours = [...new Set(Object.values(view.features).map((feature) => feature.hours))]
  const asof = (name: string, at: string) =>
    `asof left join totals ${name} on ${view.spineKey.map((column, index) => `${name}.k${index} = s.${column}`).join(' and ')} and ${at} >= ${name}.t`
  const columns = Object.entries(view.features).map(
    ([name, { of, hours: span }]) => `${differenceSql(of, `before_${span}`)} as ${view.name}__${name}`,
  )
  return `select s.flight_id, ${columns.join(', ')} from spine s ${asof('now', 's.date')} ${hours.map((span) => asof(`before_${span}`, `s.date - interval ${span} hour`)).join(' ')}`
}

/** Joins the features of `views` to the table `spine`, from the table `flights`; leaves the table `target`. */
export async function joinFeatures(
  connection: DuckDBConnection,
  views: readonly WindowView[],
  target: string,
): Promise<void> {
  for (const view of views) {
    await connection.run(`create or replace temp table totals as ${totalsSql(view)}`)
    await connection.run(`create or replace temp table joined_${view.name} as ${viewSql(view)}`)
  }
  await connection.run('drop table if exists totals')
  const joins = views.map((view) => `join joined_${view.name} using (flight_id)`).join(' ')
  await connection.run(`create or replace table ${target} as select * from spine ${joins}`)
  for (const view of views) await connection.run(`drop table joined_${view.name}`)
}

export const quote = (text: string): string => `'${text.replaceAll("'", "''")}'`

/** Opens an engine with the tables `flights` and `spine` over the files that `prepare.ts` wrote. */
export async function openFlights(dataDir: string): Promise<{ connection: DuckDBConnection; close: () => void }> {
  const files = existsSync(dataDir)
    ? readdirSync(dataDir).filter((name) => /^flights-2001-0[1-6]\.parquet$/.test(name))
    : []
  if (files.length !== 6)
    throw new Error(
      `Cannot read the flights in ${dataDir}: expected 6 monthly files, found ${files.length}; run src/prepare.ts first`,
    )
  const instance = await DuckDBInstance.create(':memory:', { threads: '2', memory_limit: '1500MB' })
  const connection = await instance.connect()
  await connection.run("set timezone = 'UTC'")
  await connection.run(
    `create view flights as select * from read_parquet(${quote(join(dataDir, 'flights-2001-*.parquet'))})`,
  )
  await connection.run(`create view spine as select * from read_parquet(${quote(join(dataDir, 'labels.parquet'))})`)
  return {
    connection,
    close: () => {
      connection.closeSync()
      instance.closeSync()
    },
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const dataDir = resolve(process.argv[2] ?? 'data')
  const flights = await openFlights(dataDir)
  await joinFeatures(flights.connection, HONEST_VIEWS, 'features')
  await flights.connection.run(
    `copy (select * from features order by date, flight_id) to ${quote(resolve(process.argv[3] ?? join(dataDir, 'oracle.parquet')))} (format parquet, compression zstd)`,
  )
  flights.close()
}
