import { expect, test } from 'vitest'
import { formatInstant, table } from './table.ts'

const ROWS = [
  ['run_0192', 'succeeded', 'a-pipeline-with-a-rather-long-name'],
  ['run_0193', 'failed', 'short'],
]
const COLUMNS = ['run', 'state', { elastic: 'pipeline' }]

test('table() aligns columns and shows everything where there is room', () => {
  expect(table(COLUMNS, ROWS, 'none')).toEqual([
    'run       state      pipeline',
    'run_0192  succeeded  a-pipeline-with-a-rather-long-name',
    'run_0193  failed     short',
  ])
})

test('table() shortens elastic columns alone', () => {
  expect(table(COLUMNS, ROWS, 'none', 40)).toEqual([
    'run       state      pipeline',
    'run_0192  succeeded  a-pipeline-with-a-…',
    'run_0193  failed     short',
  ])
})

test('table() gives each row several lines where even that is too wide, and cuts nothing', () => {
  expect(table(COLUMNS, ROWS, 'none', 20)).toEqual([
    'run       run_0192',
    'state     succeeded',
    'pipeline  a-pipeline-with-a-rather-long-name',
    '',
    'run       run_0193',
    'state     failed',
    'pipeline  short',
  ])
})

test('table() never cuts what people copy, also in a column that it may shorten', () => {
  const id = `run_${'0'.repeat(32)}`
  const rows = [
    ['fit', `from ${id}`],
    ['a-step-with-a-rather-long-name', 'x'.repeat(60)],
  ]
  const columns = [{ elastic: 'step' }, { elastic: 'why' }]
  expect(table(columns, rows, 'none', 56)).toEqual([
    'step           why',
    `fit            from ${id}`,
    `a-step-with-…  ${'x'.repeat(40)}…`,
  ])
  expect(table(columns, rows, 'none', 50)).toContain(`why   from ${id}`)
})

test('table() keeps within the width whatever it is, or stacks', () => {
  for (let width = 1; width < 80; width++) {
    const lines = table(COLUMNS, ROWS, 'none', width)
    const isStacked = lines.length > ROWS.length + 1
    if (!isStacked) expect(Math.max(...lines.map((line) => [...line].length)), `${width}`).toBeLessThanOrEqual(width)
  }
})

test('table() counts characters, shows control characters, and says when there is nothing', () => {
  expect(
    table(
      ['name', 'n'],
      [
        ['ü😀', '1'],
        ['a\u001b[2J', '2'],
      ],
      'none',
    ),
  ).toEqual(['name        n', 'ü😀          1', 'a\\u001b[2J  2'])
  expect(table(['name'], [], 'No runs yet')).toEqual(['No runs yet'])
})

test('formatInstant() shows the seconds, and says that it is UTC', () => {
  expect(formatInstant('2026-01-02T03:04:05.678Z')).toBe('2026-01-02T03:04:05Z')
  expect(formatInstant('2026-01-02T03:04:05Z')).toBe('2026-01-02T03:04:05Z')
})
