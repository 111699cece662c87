import type { ColumnType } from '@plimsoll/sdk/wire'
import { countText } from '../../kernel/count-text.ts'
import { type Fault, PlimsollError } from '../../kernel/errors.ts'
import { quoted, type Scan, selectRows } from './measure.ts'

/** Text with its own offset names one instant, whatever the zone. */
export function hasOffset(column: string): string {
  const name = quoted(column)
  return `(contains(${name}, ':') AND regexp_matches(${name}, '(?i)(Z|[+-][0-9]{2}(:?[0-9]{2})?)' || chr(36)))`
}

/**
 * Refuses times without an offset that a clock of their zone showed twice or never. The relation is read without types.
 *
 * @param columns those whose values have no offset of their own: all timestamps of CSV, of Parquet the naive ones
 * @throws invalid datasets.bad_local_times (faults: count and an example by column)
 */
export async function checkLocalTimes(
  scan: Scan,
  dataset: string,
  schema: Readonly<Record<string, ColumnType>>,
  columns: readonly string[],
): Promise<void> {
  const faults: Fault[] = []
  for (const column of columns) {
    const { type, zone } = schema[column]!
    if (type === 'timestamp' && zone !== undefined && zone !== 'UTC')
      faults.push(...(await faultsOf(scan, column, zone)))
  }
  if (faults.length === 0) return
  throw new PlimsollError(
    'invalid',
    'datasets.bad_local_times',
    `Cannot read dataset "${dataset}": ${countText(faults.length, 'column holds', 'columns hold')} times that name no one instant, ${faults[0]!.detail}`,
    {
      faults,
      action: 'Write the times with their offset, such as 2024-11-03 01:30:00-05:00, or in UTC with the zone UTC',
    },
  )
}

async function faultsOf(scan: Scan, column: string, zone: string): Promise<Fault[]> {
  const [row = []] = await selectRows(scan, faultSql(column, zone, scan.relation.format === 'csv'))
  const [missing, missingExample, twofold, twofoldExample] = row
  const fault = (count: number, what: string, example: unknown): Fault[] =>
    count === 0
      ? []
      : [
          {
            pointer: `/schema/${column}`,
            detail: `${what}, for example ${JSON.stringify(String(example).slice(0, 100))}`,
          },
        ]
  const [absent, double] = [Number(missing), Number(twofold)]
  return [
    ...fault(
      absent,
      `NONEXISTENT_TIME: ${countText(absent, 'value of', 'values of')} "${column}" fall where the clock of ${zone} was put forward`,
      missingExample,
    ),
    ...fault(
      double,
      `AMBIGUOUS_TIME: ${countText(double, 'value of', 'values of')} "${column}" came twice when the clock of ${zone} was put back`,
      twofoldExample,
    ),
  ]
}

/**
 * Conversions between zones are dear, so they are made for each day, and for each row of the few days on or beside which
 * the offset of the zone changes. There, a time has two instants when the offset before it and the one after it both give
 * it, and none when its instant is shown as another time.
 */
function faultSql(column: string, zone: string, isText: boolean): string {
  const name = quoted(column)
  const local = isText
    ? `CASE WHEN ${hasOffset(column)} THEN NULL ELSE TRY_CAST(${name} AS TIMESTAMP) END`
    : `CAST(${name} AS TIMESTAMP)`
  const other = (expression: string) => `timezone('${zone.replaceAll("'", "''")}', ${expression})`
  const offset = (instant: string) => `epoch_us(${other(instant)}) - epoch_us(${instant})`
  const given = (shift: string) => other(`make_timestamptz(epoch_us(t) - ${shift})`)
  return `WITH v AS (SELECT CAST(${name} AS VARCHAR) AS shown, ${local} AS t FROM data),
days AS (SELECT day FROM (SELECT DISTINCT CAST(t AS DATE) AS day, ${other('CAST(CAST(t AS DATE) AS TIMESTAMP)')} AS i FROM v WHERE isfinite(t)) WHERE ${offset('(i - INTERVAL 24 HOUR)')} <> ${offset('(i + INTERVAL 48 HOUR)')}),
near AS (SELECT shown, t, ${other('t')} AS i FROM v WHERE isfinite(t) AND CAST(t AS DATE) IN (FROM days)),
o AS (SELECT shown, t, ${other('i')} <> t AS missing, ${offset('(i - INTERVAL 24 HOUR)')} AS before, ${offset('(i + INTERVAL 24 HOUR)')} AS after FROM near),
judged AS (SELECT shown, missing, before <> after AND ${given('before')} = t AND ${given('after')} = t AS twofold FROM o)
SELECT count(*) FILTER (WHERE missing), min(shown) FILTER (WHERE missing), count(*) FILTER (WHERE twofold), min(shown) FILTER (WHERE twofold) FROM judged`
}
