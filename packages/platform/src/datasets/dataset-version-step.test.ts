import { copyFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { QueryEngine } from '@plimsoll/sdk/seams'
import { type ColumnType, valueType } from '@plimsoll/sdk/wire'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { openDuckdbQueryEngine } from '../adapters/duckdb/index.ts'
import type { Json } from '../kernel/canonical.ts'
import { openTestDatabase, type TestDatabase } from '../kernel/db/database.fixture.ts'
import { digestBytes } from '../kernel/digest.ts'
import { toManifest } from './content/manifest.ts'
import { datasetVersionStep } from './dataset-version-step.ts'
import {
  latestVersion,
  listDatasets,
  locationsOf,
  registerVersion,
  requireDataset,
  requireUnaltered,
  requireVersion,
  strengthOf,
  undeclareDataset,
  versionContent,
} from './index.ts'
import { declare, removeTemporaryFolders, runDatasetVersion, temporaryFolder } from './step.fixture.ts'

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
  removeTemporaryFolders()
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
  for (const place of places) expect(await requireUnaltered([place.location], place)).toBe(place.location)
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
  await expect(requireVersion(database.ctx, { dataset: 'flights', version: 2 })).rejects.toMatchObject({
    details: { action: 'Its versions are listed by plimsoll dataset versions flights' },
  })
  const allowed = { allowFailed: true }
  expect([
    await requireVersion(database.ctx, { dataset: 'flights', version: 1 }, allowed),
    await latestVersion(database.ctx, 'flights', allowed),
  ]).toMatchObject([{ verdict: 'failed' }, { verdict: 'failed' }])
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

const NUMBERS = {
  name: 'numbers',
  source: { format: 'csv', path: '', csv: { delimiter: ',', header: true, nullText: '' } },
  schema: { n: { type: 'int32', nullable: false } },
} as const

test('reuse() of dataset-version takes a result until another suite has judged its version', async () => {
  const path = join(temporaryFolder(), 'a.csv')
  writeFileSync(path, 'n\n8\n')
  const judge = async (max_value: number) => {
    const expectations = [
      { type: 'expect_column_values_to_be_between', kwargs: { column: 'n', min_value: 0, max_value } },
    ]
    await declare(database.ctx, { ...NUMBERS, source: { ...NUMBERS.source, path }, expectations })
    return runDatasetVersion(database.ctx, engine, { dataset: 'numbers', root })
  }
  const areCurrent = (...results: Json[]) =>
    Promise.all(results.map((result) => datasetVersionStep.reuse!(database.ctx, result)))
  const failed = await judge(1)
  expect(failed).toMatchObject({ version: 1, verdict: 'failed' })
  expect(await areCurrent(failed, { ...failed, version: 2 }, null)).toEqual([true, false, false])
  expect(await areCurrent({ ...failed, suiteDigest: 'sha256:x' }, { ...failed, digest: 'sha256:x' })).toEqual([
    false,
    false,
  ])
  const passed = await judge(9)
  expect(passed).toMatchObject({ version: 1, verdict: 'passed' })
  expect(await areCurrent(failed, passed)).toEqual([false, true])
  // Also one of the same counts.
  expect(await judge(20)).toMatchObject({ version: 1, verdict: 'passed' })
  expect(await areCurrent(failed, passed)).toEqual([false, false])
  expect(await judge(1)).toMatchObject({ version: 1, verdict: 'failed' })
  expect(await areCurrent(failed, passed)).toEqual([true, false])
})

test('dataset-version makes content that comes back the newest again, for lists, for readers and for the cache', async () => {
  const path = join(temporaryFolder(), 'a.csv')
  const expectations = [
    { type: 'expect_column_values_to_be_between', kwargs: { column: 'n', min_value: 0, max_value: 9 } },
  ]
  await declare(database.ctx, { ...NUMBERS, source: { ...NUMBERS.source, path }, expectations })
  const see = async (number: number) => {
    writeFileSync(path, `n\n${number}\n`)
    return runDatasetVersion(database.ctx, engine, { dataset: 'numbers', root })
  }
  const newest = async () => {
    const { datasets } = await listDatasets(database.ctx)
    const read = [
      await latestVersion(database.ctx, 'numbers'),
      await latestVersion(database.ctx, 'numbers', { allowFailed: true }),
    ]
    return [datasets[0]!.version, datasets[0]!.verdict, ...read.map(({ version }) => version)]
  }
  const first = await see(1)
  expect([await see(99), await newest()]).toMatchObject([{ version: 2 }, [2, 'failed', 1, 2]])
  expect(await datasetVersionStep.reuse!(database.ctx, first)).toBe(true)
  expect(await newest()).toEqual([1, 'passed', 1, 1])
  expect([await see(99), await newest()]).toMatchObject([{ version: 2, isNew: false }, [2, 'failed', 1, 2]])
  expect([await see(1), await newest()]).toMatchObject([{ version: 1, isNew: false }, [1, 'passed', 1, 1]])
  const third = await see(2)
  expect([third, await newest()]).toMatchObject([{ version: 3 }, [3, 'passed', 3, 3]])
  // Parts of one dataset, each a step of one pipeline, come from the cache in each run.
  for (const part of [first, third, first, third])
    expect(await datasetVersionStep.reuse!(database.ctx, part)).toBe(true)
  expect(await newest()).toEqual([3, 'passed', 3, 3])
  expect([await see(1), await newest()]).toMatchObject([{ version: 1 }, [1, 'passed', 1, 1]])
  expect([await see(99), await newest()]).toMatchObject([{ version: 2 }, [2, 'failed', 1, 2]])
})

test('dataset-version takes the bins of the version it is told, and its profile says whose they are', async () => {
  const path = join(temporaryFolder(), 'a.csv')
  const schema = { ...NUMBERS.schema, s: { type: 'text', nullable: false } } as const
  await declare(database.ctx, { ...NUMBERS, schema, source: { ...NUMBERS.source, path } })
  const add = async (from: number, letters: string, reference?: number) => {
    const lines = Array.from({ length: 200 }, (_, index) => `${from + index},${letters[index % letters.length]}`)
    writeFileSync(path, ['n,s', ...lines, ''].join('\n'))
    const params = { dataset: 'numbers', root, ...(reference === undefined ? {} : { reference }) }
    const { version } = await runDatasetVersion(database.ctx, engine, params)
    const found = await requireVersion(database.ctx, { dataset: 'numbers', version: Number(version) })
    const { profile } = await versionContent(database.ctx, found)
    const bins = Object.values(profile!.columns).map(({ histogram }) => histogram!.bins)
    return { digest: found.profileDigest, binsFrom: profile!.binsFrom, columns: profile!.columns, bins }
  }
  const first = await add(0, 'ab')
  const compared = await add(100, 'bc', 1)
  const alone = await add(200, 'bc')
  expect([first.binsFrom, compared.binsFrom, alone.binsFrom]).toEqual([undefined, first.digest, undefined])
  expect(compared.bins).toEqual(first.bins)
  for (const [index, bins] of alone.bins.entries()) expect(bins).not.toEqual(first.bins[index])
  expect(compared.columns).toMatchObject({
    n: { histogram: { below: 0, above: 100 } },
    s: { histogram: { counts: [0, 100], other: 100 } },
  })
})

/** Of each type of the SDK a value in SQL and as text, and the type that a column of it may not be declared as. */
const TYPES: Record<ColumnType['type'], readonly [sql: string, text: string, not: ColumnType['type']]> = {
  boolean: ['true', 'true', 'int32'],
  int32: ['CAST(-7 AS INTEGER)', '-7', 'boolean'],
  int64: ['CAST(9007199254740993 AS BIGINT)', '9007199254740993', 'float64'],
  float32: ['CAST(1.5 AS FLOAT)', '1.5', 'int64'],
  float64: ['CAST(0.1 AS DOUBLE)', '0.1', 'float32'],
  text: ["'é'", 'é', 'bytes'],
  timestamp: ["TIMESTAMP '2001-01-01 12:00:00.5'", '2001-01-01 12:00:00.5', 'date'],
  date: ["DATE '2001-01-31'", '2001-01-31', 'timestamp'],
  bytes: ["'a'::BLOB", 'a', 'text'],
}
const schemaOf = (typeOf: (type: ColumnType['type']) => ColumnType['type']) =>
  Object.fromEntries(
    valueType.options.map((name) => {
      const type = typeOf(name)
      return [name, { type, ...(type === 'timestamp' ? { zone: 'America/New_York' } : {}), nullable: false }]
    }),
  )

test.each(['parquet', 'csv'] as const)(
  'dataset-version reads %s with a column of each type of the SDK',
  async (format) => {
    const columns = valueType.options.map((type) => TYPES[type])
    let path = join(temporaryFolder(), 'a.csv')
    if (format === 'csv')
      writeFileSync(path, [valueType.options, columns.map(([, text]) => text), ''].map(String).join('\n'))
    else
      path = await parquetFile(
        `SELECT ${columns.map(([sql], at) => `${sql} AS "${valueType.options[at]}"`).join(', ')}`,
      )
    const definition = { name: 'typed', source: { format, path } }
    await declare(database.ctx, { ...definition, schema: schemaOf((type) => type) })
    const { verdict, profile } = await runDatasetVersion(database.ctx, engine, { dataset: 'typed', root })
    expect(verdict).toBe('passed')
    expect(profile).toMatchObject({
      columns: {
        int32: { min: -7 },
        int64: { min: '9007199254740993' },
        float32: { min: 1.5 },
        float64: { min: 0.1 },
        text: { min: 'é' },
        timestamp: { min: '2001-01-01T17:00:00.500Z' },
        date: { min: '2001-01-31' },
      },
    })
    if (format === 'csv') return
    await declare(database.ctx, { ...definition, schema: schemaOf((type) => TYPES[type][2]) })
    const faults = valueType.options.map((type) => ({
      pointer: `/schema/${type}`,
      detail: expect.stringMatching(`: declared ${TYPES[type][2]}, found .*: declare ${type}\\(`),
    }))
    await expect(runDatasetVersion(database.ctx, engine, { dataset: 'typed', root })).rejects.toMatchObject({
      code: 'datasets.schema_mismatch',
      details: { faults: expect.arrayContaining(faults), faultCount: faults.length },
    })
  },
)

const localTimes = (path: string, format: 'csv' | 'parquet', zone = 'America/New_York') => ({
  name: 'visits',
  source: { format, path, ...(format === 'csv' ? { csv: { delimiter: ',', header: true, nullText: '' } } : {}) },
  schema: { at: { type: 'timestamp', zone, nullable: true } } as const,
})

test.each(['csv', 'parquet'] as const)(
  'dataset-version refuses times of %s that a clock showed twice or never, with counts and examples',
  async (format) => {
    const times = [
      '2024-03-10 01:59:59.999999',
      '2024-03-10 02:30:00',
      '2024-03-10 03:00:00',
      '2024-11-03 00:59:59.999999',
    ]
    times.push('2024-11-03 01:30:00', '2024-11-03 01:00:00', '2024-11-03 02:00:00')
    const naive = `SELECT CAST(t AS TIMESTAMP) AS "at" FROM (VALUES ${times.map((time) => `('${time}')`).join(', ')}) v(t)`
    let path = join(temporaryFolder(), 'a.csv')
    // Text may say which of the two it is.
    if (format === 'csv') writeFileSync(path, ['at', ...times, '2024-11-03 01:30:00-05:00', ''].join('\n'))
    else path = await parquetFile(naive)
    await declare(database.ctx, localTimes(path, format))
    await expect(runDatasetVersion(database.ctx, engine, { dataset: 'visits', root })).rejects.toMatchObject({
      kind: 'invalid',
      code: 'datasets.bad_local_times',
      details: {
        faults: [
          {
            pointer: '/schema/at',
            detail: expect.stringMatching(/^NONEXISTENT_TIME: 1 value of "at" .*"2024-03-10 02:30:00"$/),
          },
          {
            pointer: '/schema/at',
            detail: expect.stringMatching(/^AMBIGUOUS_TIME: 2 values of "at" .*"2024-11-03 01:00:00"$/),
          },
        ],
        action: expect.stringContaining('offset'),
      },
    })
  },
)

test.each([
  ['Europe/Oslo', '2024-10-27 02:00:00', 'AMBIGUOUS_TIME'],
  ['Australia/Lord_Howe', '2024-04-07 01:30:00', 'AMBIGUOUS_TIME'],
  ['Pacific/Apia', '2011-12-30 12:00:00', 'NONEXISTENT_TIME'],
  ['Europe/Oslo', '2024-10-27 03:00:00', undefined],
  ['Australia/Lord_Howe', '2024-04-07 01:29:59', undefined],
  ['Pacific/Apia', '2011-12-31 00:00:00', undefined],
  ['Asia/Kolkata', '2024-11-03 01:30:00', undefined],
  ['UTC', '2024-11-03 01:30:00', undefined],
])('dataset-version judges local times by the changes of their zone: %s %s', async (zone, time, found) => {
  const path = join(temporaryFolder(), 'a.csv')
  writeFileSync(path, `at\n${time}\n\n`)
  await declare(database.ctx, localTimes(path, 'csv', zone))
  const run = runDatasetVersion(database.ctx, engine, { dataset: 'visits', root })
  if (found === undefined) expect(await run).toMatchObject({ version: 1 })
  else await expect(run).rejects.toMatchObject({ details: { faults: [{ detail: expect.stringContaining(found) }] } })
})

test('dataset-version refuses Parquet files of which only some say the zone of their times', async () => {
  const folder = temporaryFolder()
  const time = '2024-07-01 12:00:00'
  for (const [index, sql] of [
    `SELECT TIMESTAMP '${time}' AS "at"`,
    `SELECT TIMESTAMPTZ '${time}+00' AS "at"`,
  ].entries())
    copyFileSync(await parquetFile(sql), join(folder, `${index}.parquet`))
  await declare(database.ctx, localTimes(join(folder, '*.parquet'), 'parquet'))
  await expect(runDatasetVersion(database.ctx, engine, { dataset: 'visits', root })).rejects.toMatchObject({
    code: 'datasets.schema_mismatch',
    details: { faults: [{ pointer: '/schema/at', detail: expect.stringMatching(/0\.parquet: .*other files/) }] },
  })
})

test.each(['in-place', 'copy'] as const)(
  'dataset-version registers no file that changes while it is read (%s)',
  async (storage) => {
    const path = join(temporaryFolder(), 'a.csv')
    writeFileSync(path, 'n\n1\n')
    await declare(database.ctx, { ...NUMBERS, source: { ...NUMBERS.source, path }, storage })
    const run = runDatasetVersion(database.ctx, engine, { dataset: 'numbers', root }, (_, message) => {
      if (message === 'profiling') writeFileSync(path, 'n\n1\n2\n')
    })
    await expect(run).rejects.toMatchObject({ code: 'datasets.file_changed' })
    await expect(latestVersion(database.ctx, 'numbers')).rejects.toMatchObject({ kind: 'not_found' })
  },
)

test('dataset-version copies no other bytes than those it checked, though size and time are the same', async () => {
  const path = join(temporaryFolder(), 'a.csv')
  const write = (text: string) => {
    writeFileSync(path, text)
    utimesSync(path, 1_000_000_000, 1_000_000_000)
  }
  write('n\n1\n')
  await declare(database.ctx, { ...NUMBERS, source: { ...NUMBERS.source, path }, storage: 'copy' })
  const params = { dataset: 'numbers', root }
  const run = runDatasetVersion(database.ctx, engine, params, (_, message) => {
    if (message === 'profiling') write('n\n2\n')
  })
  await expect(run).rejects.toMatchObject({ code: 'datasets.file_changed', kind: 'conflict' })
  // Left alone, it is copied: no place of it is remembered, and the bytes are the version's own.
  const { places } = await runDatasetVersion(database.ctx, engine, params)
  const { manifest, locations } = places as { manifest: { files: unknown[] }; locations: unknown[] }
  expect(locations).toEqual([])
  expect(manifest.files).toEqual([{ digest: digestBytes('n\n2\n'), sizeBytes: 4, rows: 1 }])
})

/** Registers a version of one row that has no profile, as a step does that wrote it. */
const writeVersion = (dataset: string, more: { derived?: boolean; digest?: string; strength?: 'declared' } = {}) => {
  const files = [{ digest: digestBytes('n\n1\n'), sizeBytes: 4, rows: 1 }]
  const manifest = { v: 1, format: 'parquet', schema: NUMBERS.schema, rowCount: 1, files } as const
  return database.ctx.transaction((tx) => registerVersion(tx, { dataset, manifest, strength: 'content', ...more }))
}
test('strengthOf() is the least that is said of a digest, and nothing of one that no version has', async () => {
  await declareNumbers()
  const { digest } = await writeVersion('numbers')
  expect(await strengthOf(database.ctx, digest)).toBe('content')
  const { digest: other } = await writeVersion('copied', { derived: true, strength: 'declared' })
  expect([other, await strengthOf(database.ctx, digest)]).toEqual([digest, 'declared'])
  expect(await strengthOf(database.ctx, digestBytes('none'))).toBeUndefined()
})

const declareNumbers = (path = join(root, 'none.csv'), more: Partial<Parameters<typeof declare>[1]> = {}) =>
  declare(database.ctx, { ...NUMBERS, source: { ...NUMBERS.source, path }, ...more })
test('undeclareDataset() keeps versions, and steps may write more under that name from then on', async () => {
  await declareNumbers()
  await writeVersion('numbers')
  await database.ctx.transaction((tx) => undeclareDataset(tx, 'numbers'))
  expect(await requireDataset(database.ctx, 'numbers')).toMatchObject({ origin: 'declared', definition: null })
  await writeVersion('numbers', { derived: true })
  expect(await requireDataset(database.ctx, 'numbers')).toMatchObject({ origin: 'derived', versionCount: 1 })
  await expect(declareNumbers()).rejects.toMatchObject({ code: 'datasets.derived_name' })
})

const addNumbers = (params: { reference?: number } = {}) => {
  const path = join(temporaryFolder(), 'a.csv')
  writeFileSync(path, 'n\n1\n')
  return declareNumbers(path).then(() =>
    runDatasetVersion(database.ctx, engine, { dataset: 'numbers', root, ...params }),
  )
}

test.each<[code: string, kind: string, said: RegExp, () => Promise<unknown>]>([
  ['datasets.dataset_not_found', 'not_found', /dataset "numbers"/, () => writeVersion('numbers')],
  [
    'datasets.dataset_not_found',
    'not_found',
    /dataset "other"/,
    () => runDatasetVersion(database.ctx, engine, { dataset: 'other', root }),
  ],
  [
    'datasets.not_declared',
    'precondition',
    /steps write its versions/,
    async () => {
      await writeVersion('numbers', { derived: true })
      await runDatasetVersion(database.ctx, engine, { dataset: 'numbers', root })
    },
  ],
  [
    'datasets.derived_name',
    'conflict',
    /steps write versions under that name/,
    async () => {
      await writeVersion('numbers', { derived: true })
      await declareNumbers()
    },
  ],
  [
    'datasets.digest_mismatch',
    'invalid',
    /its manifest has digest sha256:/,
    async () => {
      await declareNumbers()
      await writeVersion('numbers', { digest: digestBytes('another') })
    },
  ],
  [
    'datasets.bad_expectations',
    'invalid',
    /its expectations have faults/,
    () => declareNumbers(undefined, { expectations: [{ type: 'expect_column_to_shine', kwargs: { column: 'n' } }] }),
  ],
  [
    'datasets.no_version',
    'not_found',
    /Cannot find a version/,
    async () => {
      await declareNumbers()
      await latestVersion(database.ctx, 'numbers')
    },
  ],
  [
    'datasets.version_not_found',
    'not_found',
    /version 7 of dataset "numbers"/,
    async () => {
      await addNumbers()
      await requireVersion(database.ctx, { dataset: 'numbers', version: 7 })
    },
  ],
  ['datasets.version_not_found', 'not_found', /version 7 of .* to take its bins/, () => addNumbers({ reference: 7 })],
  [
    'datasets.no_profile',
    'precondition',
    /the bins of version 1 of .*no profile/,
    async () => {
      await declareNumbers()
      await writeVersion('numbers')
      await addNumbers({ reference: 1 })
    },
  ],
  [
    'datasets.file_gone',
    'precondition',
    /Cannot read ".*b\.csv"/,
    async () => {
      const folder = temporaryFolder()
      for (const name of ['a.csv', 'b.csv']) writeFileSync(join(folder, name), 'n\n1\n')
      await declareNumbers(join(folder, '*.csv'))
      await runDatasetVersion(database.ctx, engine, { dataset: 'numbers', root }, (_, message) => {
        if (message === 'hashed 1 of 2 files') rmSync(join(folder, 'b.csv'))
      })
    },
  ],
])('what a dataset refuses has a code and says why: %s, %s, %s', async (code, kind, said, work) => {
  await expect(work()).rejects.toMatchObject({
    code,
    kind,
    message: expect.stringMatching(said),
  })
})

test('dataset-version checks nothing with an engine of another dialect', async () => {
  const path = await parquetFile('SELECT 1 AS x')
  const schema = { x: { type: 'int32', nullable: false } } as const
  await declare(database.ctx, { name: 'one', source: { format: 'parquet', path }, schema })
  const other = { ...engine, dialect: 'spark' as const }
  await expect(runDatasetVersion(database.ctx, other, { dataset: 'one', root })).rejects.toMatchObject({
    kind: 'unsupported',
    code: 'datasets.dialect',
  })
})

test('dataset-version registers nothing of which an output or a file is missing', async () => {
  const path = await parquetFile('SELECT 1 AS x')
  const schema = { x: { type: 'int32', nullable: false } } as const
  await declare(database.ctx, { name: 'one', source: { format: 'parquet', path }, schema })
  const spec = await datasetVersionStep.resolve!(database.ctx, { params: { dataset: 'one', root }, inputs: {} })
  const result = { spec, outputs: {}, json: {} } as never // what is read of it before
  await expect(database.ctx.transaction((tx) => datasetVersionStep.commit!(tx, result))).rejects.toMatchObject({
    code: 'datasets.output_missing',
  })
  const output = { format: 'parquet' as const, schema: {}, files: [{ path: 'a.parquet', rows: 1 }] }
  expect(() => toManifest(output, new Map())).toThrow(expect.objectContaining({ code: 'datasets.file_not_stored' }))
})
