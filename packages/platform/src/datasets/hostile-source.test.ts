import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { QueryEngine } from '@plimsoll/sdk/seams'
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest'
import { openDuckdbQueryEngine } from '../adapters/duckdb/index.ts'
import { openTestDatabase, type TestDatabase } from '../kernel/db/database.fixture.ts'
import { toPlimsollError } from '../kernel/errors.ts'
import { listSourceFiles } from './source-files.ts'
import { declare, removeTemporaryFolders, runDatasetVersion, temporaryFolder } from './step.fixture.ts'
import { findUnaltered, requireUnaltered } from './verify-files.ts'

let database: TestDatabase
let engine: QueryEngine
let good: Buffer
beforeAll(async () => {
  database = await openTestDatabase()
  engine = openDuckdbQueryEngine({ tempDirectory: temporaryFolder(), threads: 1 })
  const { files } = await engine.write({
    sql: 'SELECT CAST(i AS INTEGER) AS n FROM range(10) t(i)',
    inputs: {},
    output: { directory: join(temporaryFolder(), 'out') },
  })
  good = readFileSync(files[0]!)
})
afterAll(async () => {
  await engine.close()
  await database.close()
  removeTemporaryFolders()
})
beforeEach(() => database.clear())

const N = { n: { type: 'int32', nullable: false } } as const
const AB = { a: { type: 'text', nullable: true }, b: { type: 'text', nullable: true } } as const

async function failureOf(
  files: Record<string, string | Buffer>,
  schema: Parameters<typeof declare>[1]['schema'],
  format: 'parquet' | 'csv' = 'parquet',
) {
  const root = temporaryFolder()
  for (const [name, content] of Object.entries(files)) writeFileSync(join(root, name), content)
  await declare(database.ctx, { name: 'd', source: { format, path: `*.${format}` }, schema })
  return runDatasetVersion(database.ctx, engine, { dataset: 'd', root }).then(
    (result) => ({ code: 'none', message: '', details: {}, result }),
    (thrown: unknown) => {
      const { code, message, details } = toPlimsollError(thrown)
      return { code, message, details, result: undefined }
    },
  )
}

const lines = (details: object) =>
  ((details as { faults?: { detail: string }[] }).faults ?? []).map((fault) => fault.detail).join('\n')

test('dataset-version names every unreadable Parquet file', async () => {
  const truncated = good.subarray(0, good.length - 20)
  const { code, details } = await failureOf(
    { 'a.parquet': good, 'b.parquet': truncated, 'c.parquet': 'no parquet, but some text' },
    N,
  )
  expect(code).toBe('datasets.unreadable_files')
  expect(lines(details)).toMatch(/b\.parquet[\s\S]*c\.parquet/)
  expect((await failureOf({ 'a.parquet': '' }, N)).code).toBe('datasets.unreadable_files')
})

test('dataset-version lists every column that differs, and only warns of extra ones', async () => {
  const { code, details } = await failureOf(
    { 'a.parquet': good },
    { n: { type: 'text', nullable: false }, gone: { type: 'int32', nullable: false } },
  )
  expect(code).toBe('datasets.schema_mismatch')
  expect(lines(details)).toMatch(
    /declared text, found INTEGER: declare int32\(\)[\s\S]*the column is missing; the file has "n"$/,
  )
  const wide = await failureOf({ 'a.csv': 'n,more\n1,2\n' }, N, 'csv')
  expect(wide.result).toMatchObject({ verdict: 'passed', validation: { meta: { extra_columns: ['more'] } } })
})

test('dataset-version refuses naive timestamps without a declared zone, in Parquet and in CSV', async () => {
  const { files } = await engine.write({
    sql: `SELECT TIMESTAMP '2001-01-01' AS at_`,
    inputs: {},
    output: { directory: join(temporaryFolder(), 'out') },
  })
  const schema = { at_: { type: 'timestamp', nullable: false } } as const
  const parquet = await failureOf({ 'a.parquet': readFileSync(files[0]!) }, schema)
  expect(lines(parquet.details)).toContain('declare the zone')
  const csv = await failureOf({ 'a.csv': 'at_\n2001-01-01 00:00:00\n' }, schema, 'csv')
  expect(csv.code).toBe('datasets.bad_values')
  expect(lines(csv.details)).toContain('needs a declared zone')
})

test('dataset-version lists CSV text that is no value, in all columns, with counts and an example', async () => {
  const schema = {
    n: { type: 'int32', nullable: true },
    d: { type: 'date', nullable: true },
    s: { type: 'text', nullable: true },
  } as const
  const { code, details } = await failureOf(
    { 'a.csv': 'n,d,s\n1,2001-02-31,a\nx,2001-01-01,"b\nc"\n99999999999,,\n' },
    schema,
    'csv',
  )
  expect(code).toBe('datasets.bad_values')
  expect(lines(details)).toMatch(
    /^1 value is no date, for example "2001-02-31" in row 1 of \S+\n2 values are no int32, for example "x" in row 2 of \/\S+\/a\.csv$/,
  )
})

test('dataset-version says in which file and row the first value is that is none of its type', async () => {
  const files = { 'a.csv': 'n\n1\n', 'b.csv': `n\n"2\n"\n${'3\n'.repeat(9_000)}z\ny\n`, 'c.csv': 'n\nx\n' }
  const { details } = await failureOf(files, N, 'csv')
  expect(lines(details)).toMatch(/^3 values are no int32, for example "z" in row 9002 of \/\S+\/b\.csv$/)
})

test.each([
  ['a;b;label', ';', ';'],
  ['a\tb\tlabel', '\t', '\\t'],
  ['a|b|label', '|', '|'],
])(
  'dataset-version says what a file has in place of its columns, and that %j may have another delimiter',
  async (header, delimiter, written) => {
    const row = ['1', '2', '3'].join(delimiter)
    const { code, details } = await failureOf({ 'a.csv': `${header}\n${row}\n` }, { ...AB, label: AB.a }, 'csv')
    expect(code).toBe('datasets.schema_mismatch')
    expect(lines(details)).toMatch(
      /^\S+: the column is missing; the file has "[^\n]+"\n\S+: the column is missing\n\S+: the column is missing$/,
    )
    expect(lines(details)).toContain(`the file has ${JSON.stringify(header)}`)
    expect(details).toMatchObject({
      action: `If ${JSON.stringify(delimiter)} separates its fields, say so in its source: csv('…', { delimiter: '${written}' })`,
    })
  },
)

test('dataset-version lists no more of the columns of a file than can be read', async () => {
  const names = Array.from({ length: 20 }, (_, index) => `c${index}`)
  const { details } = await failureOf({ 'a.csv': `${names}\n${names}\n` }, N, 'csv')
  expect(lines(details)).toMatch(/the file has "c0", .* and 12 more$/)
  expect(details).not.toHaveProperty('action')
})

test('dataset-version refuses CSV text that a cast would alter, and takes a whole number however it is written', async () => {
  const schema = {
    n: { type: 'int32', nullable: true },
    big: { type: 'int64', nullable: true },
    d: { type: 'date', nullable: true },
  } as const
  const header = 'n,big,d\n'
  const whole = [
    '1,9223372036854775807,2001-01-01',
    ' +1 ,1.0,2001-1-1 ',
    '1e5,9.2e18,2001-01-01 00:00:00',
    '-1.,-0,2001/01/31',
  ]
  const taken = await failureOf({ 'a.csv': `${header}${whole.join('\n')}\n` }, schema, 'csv')
  expect(taken.result).toMatchObject({ rowCount: 4, verdict: 'passed' })
  const bad = [
    '0.4,9007199254740993.5,2001-01-01x',
    '1.5e0,1e-1,2001-01-01 05:00:00',
    '1_000,0x10,infinity',
    '-0.2,1.0.0,',
  ]
  const refused = await failureOf({ 'a.csv': `${header}${bad.join('\n')}\n` }, schema, 'csv')
  expect(refused.code).toBe('datasets.bad_values')
  const counts = lines(refused.details)
    .split('\n')
    .map((line) => line.split(',')[0])
  expect(counts.sort()).toEqual(['3 values are no date', '4 values are no int32', '4 values are no int64'])
})

test('dataset-version takes zero rows, and fails nulls that the schema forbids', async () => {
  expect((await failureOf({ 'a.csv': 'n\n' }, N, 'csv')).result).toMatchObject({ rowCount: 0, verdict: 'passed' })
  expect((await failureOf({ 'b.csv': 'n,m\n1,2\n,3\n' }, N, 'csv')).result).toMatchObject({
    rowCount: 2,
    verdict: 'failed',
    failed: 1,
  })
})

test('listSourceFiles() keeps to the root: parents, links and other absolute paths are refused', async () => {
  const [root, outside] = [temporaryFolder(), temporaryFolder()]
  mkdirSync(join(root, 'data/deep'), { recursive: true })
  for (const name of ['data/b.parquet', 'data/a*.parquet', 'data/deep/c.parquet', 'data/.hidden.parquet'])
    writeFileSync(join(root, name), 'x')
  writeFileSync(join(outside, 'secret.parquet'), 'x')
  const list = (path: string, allowAbsolute = false) =>
    listSourceFiles({ dataset: 'flights', root, path, allowAbsolute }).then((files) =>
      files.map((file) => file.path.slice(root.length + 1)),
    )
  expect(await list('data/*.parquet')).toEqual(['data/a*.parquet', 'data/b.parquet'])
  expect(await list('data/a*.parquet')).toEqual(['data/a*.parquet'])
  expect(await list('**/*.parquet')).toEqual(['data/a*.parquet', 'data/b.parquet', 'data/deep/c.parquet'])
  expect(
    (await listSourceFiles({ dataset: 'flights', root, path: join(outside, 'secret.parquet'), allowAbsolute: true }))
      .length,
  ).toBe(1)
  symlinkSync(join(outside, 'secret.parquet'), join(root, 'data/link.parquet'))
  for (const path of [
    '../x.parquet',
    'data/../../x',
    join(outside, 'secret.parquet'),
    'data/link.parquet',
    'data/l*.parquet',
  ]) {
    await expect(list(path), path).rejects.toMatchObject({ code: 'datasets.path_outside' })
  }
  await expect(list('data/none*.parquet')).rejects.toMatchObject({ code: 'datasets.no_files' })
  await expect(list('data')).rejects.toMatchObject({ code: 'datasets.not_regular' })
  symlinkSync('circle', join(root, 'circle'))
  symlinkSync('gone', join(root, 'dangling'))
  for (const [path, reason] of [
    ['circle', 'ELOOP'],
    ['dangling', 'ENOENT'],
    ['circl*', 'ELOOP'],
  ] as const)
    await expect(list(path)).rejects.toMatchObject({
      code: 'datasets.not_regular',
      message: expect.stringContaining(`it cannot be followed to a file (${reason})`),
    })
  const secret = join(outside, 'secret.parquet')
  expect(
    (await listSourceFiles({ dataset: 'flights', root: undefined, path: secret, allowAbsolute: true })).length,
  ).toBe(1)
  await expect(
    listSourceFiles({ dataset: 'flights', root: undefined, path: 'data', allowAbsolute: true }),
  ).rejects.toMatchObject({
    code: 'datasets.bad_root',
  })
  await expect(
    listSourceFiles({ dataset: 'flights', root: undefined, path: secret, allowAbsolute: false }),
  ).rejects.toMatchObject({
    code: 'datasets.bad_root',
  })
  await expect(
    listSourceFiles({ dataset: 'flights', root: 'relative', path: 'a', allowAbsolute: false }),
  ).rejects.toMatchObject({
    code: 'datasets.bad_root',
  })
})

test('listSourceFiles() takes wildcards as they are read, however many there are', async () => {
  const root = temporaryFolder()
  onTestFinished(() => rmSync(root, { recursive: true }))
  for (const name of ['a'.repeat(200), 'ab', 'a.b', 'aXb', '😀b', 'a*b', 'b']) writeFileSync(join(root, name), '')
  const named = (path: string) =>
    listSourceFiles({ dataset: 'flights', root, path, allowAbsolute: false }).then(
      (files) => files.map((file) => file.path.slice(root.length + 1)),
      () => [],
    )
  expect(await named(`${'*?'.repeat(60)}Z`)).toEqual([])
  expect(await named(`${'*?'.repeat(60)}a`)).toEqual(['a'.repeat(200)])
  expect(await named('a?b')).toEqual(['a*b', 'a.b', 'aXb'])
  expect(await named('?b')).toEqual(['ab', '😀b'])
  expect(await named('a**b')).toEqual(['a*b', 'a.b', 'aXb', 'ab'])
  expect(await named('*b*')).toEqual(['a*b', 'a.b', 'aXb', 'ab', 'b', '😀b'])
  expect(await named('*.b')).toEqual(['a.b'])
})

test('listSourceFiles() refuses a source of more than 10,000 files', async () => {
  const root = temporaryFolder()
  onTestFinished(() => rmSync(root, { recursive: true }))
  for (let index = 0; index < 10_001; index += 1) writeFileSync(join(root, `${index}.csv`), '')
  const list = listSourceFiles({ dataset: 'flights', root, path: '*.csv', allowAbsolute: false })
  await expect(list).rejects.toMatchObject({ kind: 'too_large', code: 'datasets.too_many_files' })
})

test('requireUnaltered() names an altered file, also when only one byte differs', async () => {
  const path = join(temporaryFolder(), 'a')
  writeFileSync(path, 'abc')
  const content = { digest: 'sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad', sizeBytes: 3 }
  expect(await requireUnaltered([`${path}.gone`, path], content)).toBe(path)
  writeFileSync(path, 'abd')
  await expect(requireUnaltered([path], content)).rejects.toMatchObject({
    code: 'datasets.file_altered',
    details: { alteration: { path, state: 'altered', found: { digest: expect.stringMatching(/^sha256:a52d159f/) } } },
  })
  expect(await findUnaltered([`${path}.gone`], content)).toMatchObject({ alteration: { state: 'missing' } })
  writeFileSync(path, 'abcd')
  await expect(requireUnaltered([path], content)).rejects.toThrow(/ \(3 bytes\), found 4 bytes$/)
})

test('dataset-version reads CSV without a header by the declared order of its fields', async () => {
  const root = temporaryFolder()
  writeFileSync(join(root, 'a.csv'), 'x|1\ny|2\n')
  const csv = { delimiter: '|', header: false, columns: ['z', 'a'], nullText: '' }
  await declare(database.ctx, {
    name: 'd',
    source: { format: 'csv', path: 'a.csv', csv },
    schema: { a: { type: 'int32', nullable: false }, z: { type: 'text', nullable: false } },
  })
  const { profile } = await runDatasetVersion(database.ctx, engine, { dataset: 'd', root })
  expect(profile).toMatchObject({ columns: { a: { min: 1, max: 2 }, z: { min: 'x', max: 'y' } } })
})

test('dataset-version reads wider integers as declared when every value fits, and names those that do not', async () => {
  const wide = async (last: string) => {
    const sql = `SELECT CAST(unnest([1, ${last}]) AS BIGINT) AS n`
    return readFileSync(
      (await engine.write({ sql, inputs: {}, output: { directory: join(temporaryFolder(), 'out') } })).files[0]!,
    )
  }
  expect((await failureOf({ 'a.parquet': await wide('2147483647') }, N)).result).toMatchObject({
    verdict: 'passed',
    rowCount: 2,
  })
  const { code, details } = await failureOf({ 'b.parquet': await wide('2147483648') }, N)
  expect(code).toBe('datasets.bad_values')
  expect(lines(details)).toMatch(/^1 value is no int32, for example "2147483648" in row 2 of \/\S+\/b\.parquet$/)
})

test.each([
  ['a,b,a\n1,2,3\n', '/schema/a', 'the column is there twice, as "a" and "a"'],
  ['b,A,"a "\n1,2,3\n', '/schema/a', 'the column is there twice, as "A" and "a"'],
  ['a,"b",c,"B"\n1,2,3,4\n', '/schema/b', 'the column is there twice, as "b" and "B"'],
])('dataset-version refuses a CSV header with a column of the schema twice: %j', async (text, pointer, detail) => {
  const { code, details } = await failureOf({ 'a.csv': text }, AB, 'csv')
  expect(code).toBe('datasets.schema_mismatch')
  expect(details).toMatchObject({ faults: [{ pointer, detail: expect.stringMatching(`a.csv: ${detail}$`) }] })
})

test('dataset-version reads a CSV file with its columns in another order, others beside them, and other names twice', async () => {
  const files = { 'a.csv': 'a,b\n1,2\n', 'b.csv': 'x,b,x,x_1,a\n0,4,0,0,3\n' }
  expect((await failureOf(files, AB, 'csv')).result).toMatchObject({
    verdict: 'passed',
    profile: { columns: { a: { min: '1', max: '3' }, b: { min: '2', max: '4' } } },
  })
})

const FEW = 'expected 2 fields, found 1'
const MANY = 'expected 2 fields, found 3'
const UNREADABLE = 'it is binary, or its quotes or line ends are not in order'
const PNG = Buffer.from([0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10, 0, 0, 0, 13, 1, 2, 3, 44, 44, 10, 9, 44, 200, 10])

test.each([
  ['a field too few', 'a,b\n1,2\n3\n4,5\n', `line 3: ${FEW}`],
  ['a field too many', 'a,b\n1,2\n3,4,5\n', `line 3: ${MANY}`],
  ['fewer names than fields', 'a,b\n1,2,3\n4,5,6\n', `line 2: ${MANY}`],
  ['a row that begins as a comment does', 'a,b\n#1\n2,3\n', `line 2: ${FEW}`],
  ['a field too few after the sample', `a,b\n${'1,2\n'.repeat(50_000)}3\n`, `line 50002: ${FEW}`],
  ['a quote that is not closed', 'a,b\n1,"2\n3,4\n', 'line 2: a quote is not closed, or has text beside it'],
  ['text beside a quote', 'a,b\n1,"x"y\n2,3\n', 'line 2: a quote is not closed, or has text beside it'],
  ['line ends of two kinds', 'a,b\r\n1,2\n3,4\r\n', UNREADABLE],
  ['bytes of an image', PNG, UNREADABLE],
  ['text in another encoding', Buffer.from('a,b\n1,\xe9\n', 'latin1'), 'line 2: its text is not UTF-8'],
  ['a line too long', `a,b\n1,2\n3,${'x'.repeat(17 * 2 ** 20)}\n`, 'line 3: a line is longer than 16 MiB'],
])('dataset-version names file, line and reason of a CSV file with %s', async (_, bad, reason) => {
  const { code, message, details } = await failureOf({ 'a.csv': 'a,b\n1,2\n', 'b[1].csv': bad }, AB, 'csv')
  const said = code === 'query.file_unreadable' ? message : lines(details)
  expect(said).toMatch(/^(\/\S+: )?Cannot read an input file as CSV: /)
  expect(said.match(/b\[1\]\.csv/g)).toHaveLength(1)
  expect(said).toMatch(new RegExp(`[:,] ${reason}$`))
  // Printed together, they say nothing twice.
  if (code !== 'query.file_unreadable') expect(message).toBe('Cannot read 1 of 2 files of dataset "d"')
})

test('dataset-version drops no line of a CSV file without a header', async () => {
  const root = temporaryFolder()
  writeFileSync(join(root, 'a.csv'), '1,2,3\n4,5\n6,7\n')
  const csv = { delimiter: ',', header: false, columns: ['a', 'b'], nullText: '' }
  await declare(database.ctx, { name: 'd', source: { format: 'csv', path: 'a.csv', csv }, schema: AB })
  await expect(runDatasetVersion(database.ctx, engine, { dataset: 'd', root })).rejects.toMatchObject({
    code: 'datasets.unreadable_files',
    details: { faults: [{ detail: expect.stringMatching(/a\.csv, line 1: expected 2 fields, found 3$/) }] },
  })
})

test.each(['csv', 'parquet'] as const)(
  'dataset-version shows a NUL in text of %s instead of failing',
  async (format) => {
    const root = temporaryFolder()
    if (format === 'csv') writeFileSync(join(root, 'a.csv'), 'a,b\nx\0y,1\nz,2\n')
    else {
      const sql = `SELECT * FROM (VALUES ('x' || chr(0) || 'y', '1'), ('z', '2')) t(a, b)`
      const { files } = await engine.write({ sql, inputs: {}, output: { directory: join(temporaryFolder(), 'out') } })
      writeFileSync(join(root, 'a.parquet'), readFileSync(files[0]!))
    }
    const expectations = [{ type: 'expect_column_values_to_match_regex', kwargs: { column: 'a', regex: '^z$' } }]
    await declare(database.ctx, { name: 'd', source: { format, path: `a.${format}` }, schema: AB, expectations })
    expect(await runDatasetVersion(database.ctx, engine, { dataset: 'd', root })).toMatchObject({
      verdict: 'failed',
      profile: {
        columns: {
          a: {
            min: 'x\\u0000y',
            topValues: [{ value: 'x\\u0000y' }, { value: 'z' }],
            histogram: { bins: { values: ['z'] }, counts: [1], other: 1 },
          },
        },
      },
      validation: { results: [{ result: { partial_unexpected_list: ['x\\u0000y'] } }] },
    })
  },
)
