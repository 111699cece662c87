import type { QueryEngine } from '@plimsoll/sdk/seams'
import { afterAll, describe, expect, test } from 'vitest'
import { openDuckdbQueryEngine } from '../adapters/duckdb/index.ts'
import {
  type HistoryRow,
  joinView,
  SCHEMA,
  type SpineRow,
  temporaryFolder,
  viewOf,
  writeHistory,
} from './point-in-time.fixture.ts'

const S = 1_000_000
const FEATURES = { x: { from: 'column', column: 'x', type: 'float64' } } as const

interface Case {
  readonly name: string
  readonly spine: readonly string[]
  readonly rows: readonly string[]
  readonly ttl?: number
  readonly mode?: 'event'
  readonly asOf?: number
  readonly expect: readonly (number | null)[]
}

const c = (
  name: string,
  spine: string | string[],
  rows: string[],
  expected: number | null | (number | null)[],
  more: Partial<Case> = {},
): Case => ({
  name,
  spine: Array.isArray(spine) ? spine : [spine],
  rows,
  expect: Array.isArray(expected) ? expected : [expected],
  ...more,
})

/** Reference §1.1. Rows are `[key:]ev[/cr][#seq]=value`, `†` for a deletion, `∅` for null; keys are `part+part`. */
const CASES: readonly Case[] = [
  c('1 basic', 'a@10', ['5=1'], 1),
  c('2 inclusive at T', 'a@10', ['10=1'], 1),
  c('3 one microsecond late', 'a@10', ['10.000001=1'], null),
  c('4 no rows, the spine row is kept', 'a@10', [], null),
  c('5 the latest that is not in the future', 'a@10', ['3=1', '7=2', '12=3'], 2),
  c('6 an age of exactly the ttl is inside', 'a@10', ['5=1'], 1, { ttl: 5 }),
  c('7 one microsecond over', 'a@10', ['4.999999=1'], null, { ttl: 5 }),
  c('8 without a ttl a row is never too old', 'a@4000000000', ['5=1'], 1),
  c('9 a winner with null is not skipped', 'a@10', ['2=1', '3=∅'], null),
  c('10 a tie on event time by created time', 'a@10', ['5/5=1', '5/6=2'], 2),
  c('10 a tie on event time by created times before it', 'a@10', ['5/4#1=2', '5/3#2=1', '5/5#0=3'], 3),
  c('10 the same, of rows known early alone', 'a@10', ['5/4#1=2', '5/3#2=1'], 2),
  c('11 a full tie by sequence', 'a@10', ['5/6#1=1', '5/6#2=2'], 2),
  c('12 the order of the file does not matter', 'a@10', ['5/6#2=2', '5/6#1=1'], 2),
  c('13 a null created time is lowest', 'a@10', ['5/∅#9=1', '5/4#1=2'], 2),
  c('14 a late arrival', 'a@10', ['5/12=1'], null),
  c('15 restated history in mode event', 'a@10', ['5/12=1'], 1, { mode: 'event' }),
  c('16 a correction not yet known', 'a@10', ['5/5=1', '5/12=2'], 1),
  c('17 a correction known at T', 'a@12', ['5/5=1', '5/12=2'], 2),
  c('18 the newest event is unknown yet', 'a@10', ['3/3=1', '8/11=2'], 1),
  c('19 a late old row must not win', 'a@12', ['9/9=1', '4/11=2'], 1),
  c('20 known before it happened', 'a@10', ['8/2=1'], 1),
  c('21 announced, not effective', 'a@7', ['8/2=1'], null),
  c('22 a hidden row gives no grace', 'a@10', ['3/3=1', '8/11=2'], null, { ttl: 5 }),
  c('23 a deletion wins', 'a@10', ['5=1', '7†'], null),
  c('24 created again', 'a@10', ['5=1', '7†', '9=3'], 3),
  c('25 a deletion by tie-break', 'a@10', ['5/5=1', '5/6†'], null),
  c('26 null never equals null', '∅@10', ['∅:5=1', 'a:5=2'], null),
  c('27 a null T finds nothing', 'a@∅', ['5=1', '∅=9'], null),
  c('28 a null event time is dropped', 'a@10', ['∅=9', '5=1'], 1),
  c('29 duplicates are kept', ['a@10', 'a@10'], ['5=1'], [1, 1]),
  c('30 the order is kept', ['b@1', 'a@10', 'a@2'], ['5=5'], [null, 5, null]),
  c('31 the empty string is a key', 'a+@10', ['a+:5=1'], 1),
  c('32 no concatenated keys', ['1+12@10', '11+2@10'], ['1+12:5=1', '11+2:6=2'], [1, 2]),
  c('33 no separator trick', ['a+b_c@10', 'a_b+c@10'], ['a+b_c:5=1'], [1, null]),
  c('44 a capped run', 'a@10', ['3/3=1', '5/9=2'], 1, { asOf: 8 }),
  c('45 a capped run does not see a backfill', 'a@10', ['3/3=1', '4/20=7'], 1, { asOf: 9 }),
  c('46 before the epoch', 'a@-5', ['-10=1'], 1),
  c('47 NaN is a value', 'a@10', ['5=NaN'], Number.NaN),
  c('48 an empty spine', [], ['5=1'], []),
]

const keysOf = (text: string): (string | null)[] => {
  if (text === '∅') return [null, 'z']
  const parts = text.split('+')
  return parts.length === 2 ? parts : [text, 'z']
}
const micros = (text: string) => (text === '∅' ? null : Math.round(Number(text) * S))

function rowOf(text: string, index: number): HistoryRow {
  const match = /^(?:(.*):)?([^/#=†]+)(?:\/([^#=†]+))?(?:#(\d+))?(?:=(.+)|†)$/.exec(text)!
  const [, key = 'a', ev, cr, seq, value] = match
  return {
    keys: keysOf(key),
    ev: micros(ev!),
    cr: cr === undefined ? null : micros(cr),
    seq: seq === undefined ? index : Number(seq),
    del: value === undefined,
    values: { x: value === undefined || value === '∅' ? null : Number(value) },
  }
}

function spineOf(text: string): SpineRow {
  const [key, t] = text.split('@')
  return { keys: keysOf(key!), t: micros(t!) }
}

describe('latestRowStatements()', () => {
  const folder = temporaryFolder()
  const engine: QueryEngine = openDuckdbQueryEngine({
    tempDirectory: folder,
    threads: 2,
  })
  afterAll(() => engine.close())

  test.each(CASES)('$name', async ({ spine, rows, ttl, mode, asOf, expect: expected }) => {
    const { knownAt: _, ...withoutKnown } = viewOf(FEATURES)
    const base = mode === 'event' ? withoutKnown : viewOf(FEATURES)
    const view = { ...base, ttlUs: ttl === undefined ? null : ttl * S }
    const history = await writeHistory(engine, folder, rows.map(rowOf))
    const found = await joinView(
      engine,
      folder,
      view,
      history,
      spine.map(spineOf),
      asOf === undefined ? undefined : BigInt(asOf * S),
    )
    expect(found.map(({ x }) => x)).toEqual(expected)
  })

  test.each([2, 17])('ties without a sequence go to the last of %i files', async (count) => {
    const { knownAt: _, sequence: __, ...view } = viewOf(FEATURES)
    const files: string[] = []
    for (let number = 0; number < count; number += 1) {
      const rows = [`5=${number}`, `b:5=${100 + number}`, `b:6=${200 + number}`, `c:11=${number}`]
      files.push(...(await writeHistory(engine, folder, rows.map(rowOf))).files)
    }
    const history = { format: 'parquet', files, columns: SCHEMA } as const
    const found = await joinView(engine, folder, view, history, ['b@5', 'a@10', 'c@10', 'b@6'].map(spineOf))
    expect(found.map(({ x }) => x)).toEqual([99 + count, count - 1, null, 199 + count])
  })
})
