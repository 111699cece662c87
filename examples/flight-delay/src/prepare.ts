import { mkdirSync, readFileSync, renameSync, rmSync, utimesSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import tzLookup from 'tz-lookup'

/**
 * Writes the 3,000,000 flights of vega-datasets as one Parquet file a month: departure in UTC, the times at which the departure
 * and the landing could be known (README.md says how they are estimated), and the local hour and day of departure. Beside them
 * `labels.parquet`, the flights that models learn from and are judged on, and a damaged June: codes in lower case, impossible
 * delays. The same package gives the same bytes.
 */
// Equal files of equal age: what was made from them before comes from the cache, also after they were written again.
const WRITTEN_AT = new Date('2001-07-01T00:00:00Z')
const MONTHS = ['2001-01', '2001-02', '2001-03', '2001-04', '2001-05', '2001-06'] as const
const require = createRequire(import.meta.url)
// The package exports its code only; its data lies beside the folder of that code.
const vega = join(dirname(dirname(require.resolve('vega-datasets'))), 'data')
const target = resolve(process.argv[2] ?? 'data')
const quoted = (path: string) => `'${path.replaceAll("'", "''")}'`

function airportZones(): [string, string][] {
  const [header, ...lines] = readFileSync(join(vega, 'airports.csv'), 'utf8').trim().split('\n')
  const columns = header!.trim().split(',')
  const [code, latitude, longitude] = ['iata', 'latitude', 'longitude'].map((name) => columns.indexOf(name)) as [
    number,
    number,
    number,
  ] // the file has these columns
  return lines.map((line) => {
    // Names may hold commas in quotes; the last two columns are numbers.
    const cells = line
      .trim()
      .match(/("([^"]|"")*"|[^,]*)(,|$)/g)!
      .map((cell) => cell.replace(/,$/, ''))
    return [cells[code]!, tzLookup(Number(cells[latitude]), Number(cells[longitude]))]
  })
}

/** An hour has one offset from UTC everywhere: asked for each flight, that takes most of the time. */
function select(month: string): string {
  return `
    with f as (
      select *, date_trunc('hour', date) as hour_begun from flights
      where date >= timestamp '${month}-01' and date < timestamp '${month}-01' + interval 1 month),
    hours as (
      select zone, hour_begun, timezone(zone, hour_begun) as begun_at
      from (select distinct z.zone, f.hour_begun from f join zones z on z.iata = f.origin)),
    departures as (
      select f.*, h.begun_at + (f.date - f.hour_begun) as departed_at
      from f join zones z on z.iata = f.origin join hours h on h.zone = z.zone and h.hour_begun = f.hour_begun)
    select
      printf('%s-%07d', '${month}', row_number() over (order by f.date, f.origin, f.destination, f.distance, f.delay)) as flight_id,
      f.departed_at as date,
      f.departed_at + to_minutes(cast(round(40 + f.distance / 8.0) as bigint)) as landed_at,
      f.departed_at + interval 5 minute as reported_at,
      f.origin, f.destination,
      cast(f.distance as integer) as distance,
      cast(f.delay as integer) as delay,
      cast(greatest(-60, least(300, f.delay)) as integer) as delay_clipped,
      cast(hour(f.date) as integer) as hour,
      cast(isodow(f.date) as integer) as day_of_week,
      cast(f.delay > 15 as integer) as late
    from departures f
    order by f.date, f.origin, f.destination, f.distance, f.delay`
}

/** One flight in five of 8 January – 31 March to learn from, one in two of 1 – 14 April to be judged on, by UTC departure. */
const LABELS = `
  select flight_id, date, origin, destination, distance, hour, day_of_week, late, case when date < timestamptz '2001-04-01 00:00:00Z' then 'train' else 'holdout' end as split
  from read_parquet(${quoted(join(target, 'flights-2001-0[1-4].parquet'))})
  where (date >= timestamptz '2001-01-08 00:00:00Z' and date < timestamptz '2001-04-01 00:00:00Z' and cast(right(flight_id, 7) as integer) % 5 = 0)
     or (date >= timestamptz '2001-04-01 00:00:00Z' and date < timestamptz '2001-04-15 00:00:00Z' and cast(right(flight_id, 7) as integer) % 2 = 0)
  order by date, flight_id`

mkdirSync(target, { recursive: true })
const instance = await DuckDBInstance.create(':memory:', { threads: '2', memory_limit: '1500MB' })
const connection = await instance.connect()
await connection.run("set timezone = 'UTC'")
await connection.run('create table zones (iata varchar, zone varchar)')
const zones = await connection.createAppender('zones')
for (const names of airportZones()) {
  for (const name of names) zones.appendVarchar(name)
  zones.endRow()
}
zones.closeSync()
await connection.run(
  `create view flights as select cast(date as timestamp) as date, origin, destination, distance, delay from read_parquet(${quoted(join(vega, 'flights-3m.parquet'))})`,
)

async function write(name: string, sql: string): Promise<void> {
  const path = join(target, name)
  rmSync(`${path}.tmp`, { force: true })
  await connection.run(
    `copy (${sql}) to ${quoted(`${path}.tmp`)} (format parquet, compression zstd, row_group_size 122880)`,
  )
  renameSync(`${path}.tmp`, path)
  utimesSync(path, WRITTEN_AT, WRITTEN_AT)
}

for (const month of MONTHS) await write(`flights-${month}.parquet`, select(month))
await write(
  'damaged-2001-06.parquet',
  `select * replace (case when hash(flight_id) % 50 = 0 then lower(origin) else origin end as origin, case when hash(flight_id) % 40 = 0 then 9999 else delay end as delay) from read_parquet(${quoted(join(target, 'flights-2001-06.parquet'))})`,
)
await write('labels.parquet', LABELS)
connection.closeSync()
instance.closeSync()
process.stdout.write(
  `Wrote to ${target}: flights-2001-01.parquet to flights-2001-06.parquet, labels.parquet and damaged-2001-06.parquet\n`,
)
