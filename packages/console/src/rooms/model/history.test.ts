import { expect, test } from 'vitest'
import { historyText } from './history-text.ts'

const entry = (action: string, data: Record<string, string | number> = {}) => ({
  at: '2001-04-23T12:00:00.000Z',
  actor: 'ada',
  proof: 'ssh',
  action,
  subject: 'production/delay',
  data,
})

test('historyText() tells a release from a rollback, with the reason', () => {
  expect(historyText(entry('release.create', { reason: 'better slices' }))).toBe(
    'Released to production/delay: better slices',
  )
  expect(historyText(entry('release.rollback'))).toBe('production/delay rolled back')
  expect(historyText(entry('release.retire', { reason: 'replaced' }))).toBe('production/delay retired: replaced')
  expect(historyText(entry('version.approve', { environment: 'production' }))).toBe('Approved for production')
})

test('historyText() names an action that it does not know, without the power of its characters', () => {
  expect(historyText(entry('future.act\u202eion'))).toBe('future.act\ufffdion production/delay')
})
