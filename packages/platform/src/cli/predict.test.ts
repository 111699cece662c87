import { expect, test } from 'vitest'
import { missingLines } from './predict.ts'

test('missingLines() says in one line for each view and reason how many features are missing', () => {
  expect(missingLines([], '')).toEqual([])
  const missing = [
    { feature: 'origin_delays__mean_1h', status: 'OUTSIDE_MAX_AGE' },
    { feature: 'origin_delays__late_share_1h', status: 'OUTSIDE_MAX_AGE' },
    { feature: 'route_delays__mean_6h', status: 'NOT_FOUND' },
  ]
  expect(missingLines(missing, ' --data-dir d')).toEqual([
    'without 2 features of origin_delays (OUTSIDE_MAX_AGE)',
    'without 1 feature of route_delays (NOT_FOUND)',
    'How far a view has been brought: plimsoll features materializations origin_delays --data-dir d',
  ])
})
