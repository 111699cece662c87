import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { QueryEngine } from '@plimsoll/sdk/seams'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { openDuckdbQueryEngine } from '../adapters/duckdb/index.ts'
import { openTestDatabase, type TestDatabase } from '../kernel/db/database.fixture.ts'
import { latestVersion, locationsOf, requireVersion, verifyFiles } from './index.ts'
import { declare, runDatasetVersion, temporaryFolder } from './step.fixture.ts'

let database: TestDatabase
let engine: QueryEngine
const root = temporaryFolder()

async function parquetFile(sql: string): Promise<string> {
  const directory = join(temporaryFolder(), 'out')
  const { files } = await engine.write({ sql, inputs: {}, output: { directory } })
  return files[0]!
}

beforeAll(async () => {
  database = await openTestDatabase()
  engine = openDuckdbQueryEngine({ tempDirectory: root, threads: 2 })
})
afterAll(async () => {
  await engine.close()
  await database.close()
})
beforeEach(() => database.clear())

const FLIGHTS = `SELECT TIMESTAMPTZ '2001-01-01 00:00:00+00' + INTERVAL (i) MINUTE AS date, 'A' || (i % 20) AS origin, CAST(i % 300 - 50 AS INTEGER) AS delay,
  CASE WHEN i % 10 = 0 THEN 'nan'::DOUBLE WHEN i % 10 = 1 THEN NULL ELSE i / 7.0 END AS score FROM range(5000) t(i)`
const SCHEMA = {
  date: { type: 'timestamp', zone: 'UTC', nullable: false },
  origin: { type: 'text', nullable: false },
  delay: { type: 'int32', nullable: false },
  score: { type: 'float64', nullable: true },
} as const

test('dataset-version registers a passing version in place, with profile, places and an event', async () => {
  const path = await parquetFile(FLIGHTS)
  await declare(database.ctx, {
    name: 'flights',
    source: { format: 'parquet', path },
    schema: SCHEMA,
    expectations: [
      { type: 'expect_column_values_to_be_between', kwargs: { column: 'delay', min_value: -50, max_value: 249 } },
    ],
  })
  const result = await runDatasetVersion(database.ctx, engine, { dataset: 'flights', root })
  expect(result).toMatchObject({
    dataset: 'flights',
    version: 1,
    verdict: 'passed',
    evaluated: 4,
    failed: 0,
    rowCount: 5000,
  })
  const version = await latestVersion(database.ctx, 'flights')
  expect(version).toMatchObject({ strength: 'content', verdict: 'passed', fileCount: 1, run: 'run_1' })
  expect(result.profile).toMatchObject({
    columns: {
      delay: { min: -50, max: 249, distinct: { count: 300, isExact: true } },
      origin: { distinct: { count: 20 } },
      score: { nullCount: 500, histogram: { nan: 500 } },
    },
  })
  const places = (result.places as { locations: { digest: string; location: string; sizeBytes: number }[] }).locations
  expect((await locationsOf(database.ctx, [places[0]!.digest])).get(places[0]!.digest)?.[0]?.location).toBe(path)
  expect((await database.events()).map((event) => event.type)).toEqual([
    'datasets.dataset_declared',
    'datasets.version_registered',
  ])
  await verifyFiles(places.map((place) => ({ path: place.location, digest: place.digest, sizeBytes: place.sizeBytes })))
  const again = await runDatasetVersion(database.ctx, engine, { dataset: 'flights', root })
  expect(again).toMatchObject({ version: 1, isNew: false })
})

test('dataset-version keeps a failing version, with counts and examples, and it is refused downstream', async () => {
  const path = await parquetFile(FLIGHTS)
  const expectations = [
    { type: 'expect_column_values_to_be_between', kwargs: { column: 'delay', min_value: -20, max_value: 200 } },
    { type: 'expect_column_values_to_match_regex', kwargs: { column: 'origin', regex: '^A[0-9]$', mostly: 0.4 } },
  ]
  await declare(database.ctx, { name: 'flights', source: { format: 'parquet', path }, schema: SCHEMA, expectations })
  const result = await runDatasetVersion(database.ctx, engine, { dataset: 'flights', root })
  expect(result).toMatchObject({ version: 1, verdict: 'failed', failed: 1 })
  const [between, regex] = (result.validation as { results: { success: boolean; result: Record<string, unknown> }[] })
    .results
  expect(between).toMatchObject({ success: false, result: { element_count: 5000, unexpected_count: 1294 } })
  expect((between!.result.partial_unexpected_list as unknown[]).length).toBe(20)
  expect(regex).toMatchObject({ success: true, result: { unexpected_count: 2500, unexpected_percent: 50 } })
  await expect(requireVersion(database.ctx, { dataset: 'flights', version: 1 })).rejects.toMatchObject({
    code: 'datasets.version_failed_expectations',
    details: { evaluated: 5, failed: 1 },
  })
  await expect(latestVersion(database.ctx, 'flights')).rejects.toMatchObject({
    code: 'datasets.version_failed_expectations',
  })
  expect(await requireVersion(database.ctx, { dataset: 'flights', version: 1 }, { allowFailed: true })).toMatchObject({
    verdict: 'failed',
  })
})

test('dataset-version reads typed CSV and converts naive times by the declared zone', async () => {
  const path = join(temporaryFolder(), 'a.csv')
  writeFileSync(path, 'at;n;name\n2001-07-01 12:00:00;1;"a;b"\n2001-07-01T12:00:00Z;2;\n')
  await declare(database.ctx, {
    name: 'visits',
    source: { format: 'csv', path, csv: { delimiter: ';', header: true, nullText: '' } },
    schema: {
      at: { type: 'timestamp', zone: 'America/New_York', nullable: false },
      n: { type: 'int32', nullable: false },
      name: { type: 'text', nullable: true },
    },
  })
  const result = await runDatasetVersion(database.ctx, engine, { dataset: 'visits', root })
  expect(result.profile).toMatchObject({
    columns: { at: { min: '2001-07-01T12:00:00.000Z', max: '2001-07-01T16:00:00.000Z' }, name: { nullCount: 1 } },
  })
})
