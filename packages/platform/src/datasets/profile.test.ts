import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { QueryEngine } from '@plimsoll/sdk/seams'
import type { ColumnType, DatasetProfile } from '@plimsoll/sdk/wire'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openDuckdbQueryEngine } from '../adapters/duckdb/index.ts'
import { canonicalJson } from '../kernel/canonical.ts'
import { binOf } from '../statistics/frozen-bins.ts'
import { evaluateMeasures, type Scan } from './content/measure.ts'
import { binsOf, buildProfile, type ProfileReference, profileMeasures } from './profile.ts'

let engine: QueryEngine
const folder = () => mkdtempSync(join(tmpdir(), 'plimsoll-profile-'))
beforeAll(() => {
  engine = openDuckdbQueryEngine({ tempDirectory: folder(), threads: 2 })
})
afterAll(() => engine.close())

async function profileOf(
  select: string,
  schema: Record<string, ColumnType>,
  reference?: ProfileReference,
): Promise<DatasetProfile> {
  const { files } = await engine.write({ sql: select, inputs: {}, output: { directory: join(folder(), 'out') } })
  const scan: Scan = {
    engine,
    relation: { format: 'parquet', files, columns: schema },
    signal: new AbortController().signal,
  }
  return buildProfile(scan, schema, await evaluateMeasures(scan, profileMeasures(schema)), reference)
}

const X = { x: { type: 'float64', nullable: true } } as const

test('buildProfile() bins in SQL as binOf() does, and every value has one place', async () => {
  const value = fc.oneof(
    fc.integer({ min: -3, max: 3 }),
    fc.double({ min: -10, max: 10, noNaN: true }),
    fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY),
  )
  const property = fc.asyncProperty(fc.array(value, { minLength: 1, maxLength: 60 }), async (values) => {
    const list = values.map((one) => `'${Number.isFinite(one) ? one : String(one).replace('Infinity', 'inf')}'::DOUBLE`)
    const histogram = (await profileOf(`SELECT unnest([${list.join(', ')}]) AS x`, X)).columns.x!.histogram!
    const { bins } = histogram
    if (bins.kind !== 'numeric') throw new Error('expected numeric bins')
    const expected = {
      counts: histogram.counts.map(() => 0),
      atomCounts: bins.atoms.map(() => 0),
      below: 0,
      above: 0,
      nan: 0,
      negativeInfinity: 0,
      positiveInfinity: 0,
    }
    for (const one of values) {
      const found = binOf(bins, one)
      if (found.kind === 'bin') expected.counts[found.index]!++
      else if (found.kind === 'atom') expected.atomCounts[found.index]!++
      else expected[found.kind]++
    }
    expect(histogram).toMatchObject(expected)
  })
  await fc.assert(property, { numRuns: 30, seed: 20010423 })
})

test('buildProfile() takes the bins of a reference, so that a shift shows below and above its edges', async () => {
  const schema = { ...X, s: { type: 'text', nullable: true } } as const
  const first = await profileOf(`SELECT i / 1.0 AS x, 'c' || (i % 3) AS s FROM range(1000) t(i)`, schema)
  const second = await profileOf(`SELECT i + 500.0 AS x, 'c' || (i % 4) AS s FROM range(1000) t(i)`, schema, {
    digest: 'sha256:a',
    bins: binsOf(first),
  })
  expect(second.binsFrom).toBe('sha256:a')
  expect(binsOf(second)).toEqual(binsOf(first))
  expect(second.columns.x!.histogram).toMatchObject({ above: 500, below: 0 })
  expect(second.columns.s!.histogram).toMatchObject({
    bins: { values: ['c0', 'c1', 'c2'] },
    counts: [250, 250, 250],
    other: 250,
  })
})

test('buildProfile() gives equal bytes again, and describes nothing for no rows', async () => {
  const select = `SELECT sin(i) AS x FROM range(200000) t(i)`
  expect(canonicalJson(await profileOf(select, X))).toBe(canonicalJson(await profileOf(select, X)))
  const empty = await profileOf(`${select} WHERE i < 0`, X)
  expect(empty.columns.x).toMatchObject({ count: 0, nullCount: 0, distinct: { count: 0 }, histogram: { counts: [] } })
  expect(empty.columns.x!.mean).toBeUndefined()
})

test('buildProfile() estimates distinct values of many rows within four standard errors', async () => {
  const { columns } = await profileOf(`SELECT CAST(i % 70000 AS DOUBLE) AS x FROM range(1100000) t(i)`, X)
  expect(columns.x!.distinct!.isExact).toBe(false)
  expect(Math.abs(columns.x!.distinct!.count - 70_000)).toBeLessThan(4 * 0.0163 * 70_000)
})

test('buildProfile() is not misled by columns that have the names of its own', async () => {
  const names = ['v', 'c', 'h', 'w', 'bucket', 'data']
  const columns = names.flatMap((name) => [name, `${name}2`])
  const schema = Object.fromEntries(
    columns.map((name, index) => [name, { type: index % 2 === 0 ? 'int64' : 'text', nullable: true } as const]),
  )
  const select = columns.map((name, index) => (index % 2 === 0 ? `i % 7 AS "${name}"` : `'t' || i % 3 AS "${name}"`))
  const profile = await profileOf(`SELECT ${select.join(', ')} FROM range(70) t(i)`, schema)
  for (const [index, name] of columns.entries())
    expect(profile.columns[name], name).toMatchObject({
      count: 70,
      distinct: { count: index % 2 === 0 ? 7 : 3, isExact: true },
      ...(index % 2 === 0 ? {} : { topValues: [{ value: 't0', count: 24 }, { count: 23 }, { count: 23 }] }),
    })
  const again = await profileOf(`SELECT ${select.join(', ')} FROM range(7) t(i)`, schema, {
    digest: 'sha256:x',
    bins: binsOf(profile),
  })
  expect(again.columns['v2']).toMatchObject({ count: 7 })
})
