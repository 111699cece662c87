import { expect, test } from 'vitest'
import { REBUILD, restoredLines } from './audit.ts'

const broken = {
  position: null,
  where: 'audit' as const,
  reason: 'The release is not what the audit says',
  row: { seq: 'rel_1', kind: 'release', subject: 'echo', at: '2026-01-01' },
}

test('restoredLines() says that all fits only where it does', () => {
  const fits = restoredLines(REBUILD, { restored: 0, records: 3, kept: null })
  expect(fits).toEqual(['The database says what the journal says'])
  const lines = restoredLines(REBUILD, { restored: 0, records: 3, kept: null, broken })
  expect(lines).toEqual([
    'The ledger is broken at position — (audit): The release is not what the audit says',
    '  row rel_1  release  echo  2026-01-01',
    expect.stringContaining('plimsoll audit list'),
  ])
  expect(restoredLines(REBUILD, { restored: 1, records: 3, kept: '/journal/x', broken })).toEqual([
    '1 of 3 rows were written again',
    'What the database said: /journal/x',
    ...lines,
  ])
})
