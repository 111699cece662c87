import { expect, test } from 'vitest'
import { ERROR_KINDS, isPlimsollError, PlimsollError, pointerOf, refuseFaults, toPlimsollError } from './errors.ts'

test.each([
  ['23505', 'conflict', 'db.duplicate'],
  ['23503', 'conflict', 'db.reference_missing'],
  ['40001', 'unavailable', 'db.serialization'],
  ['40P01', 'unavailable', 'db.deadlock'],
  ['57014', 'deadline', 'db.statement_timeout'],
  ['22003', 'invalid', 'db.out_of_range'],
  ['22021', 'invalid', 'db.unstorable_text'],
  ['22P05', 'invalid', 'db.unstorable_text'],
  ['55P03', 'unavailable', 'db.locked'],
  ['53300', 'unavailable', 'db.too_many_connections'],
  ['53100', 'full', 'db.disk_full'],
  ['XX001', 'internal', 'db.damaged'],
  ['57P01', 'unavailable', 'db.unavailable'],
  ['57P03', 'unavailable', 'db.unavailable'],
  ['ECONNREFUSED', 'unavailable', 'db.unavailable'],
  ['ENOSPC', 'full', 'disk.full'],
  ['EDQUOT', 'full', 'disk.full'],
  ['EWHATEVER', 'internal', 'internal.unexpected'],
])('toPlimsollError() turns code %s into %s', (code, kind, expected) => {
  const cause = Object.assign(new Error('text of the driver'), { code })
  expect(toPlimsollError(cause)).toMatchObject({ kind, code: expected, cause })
})

test.each([undefined, null, 'text', 7, {}, new Error('x'), new TypeError('y')])(
  'toPlimsollError() takes anything: %s',
  (thrown) => {
    expect(toPlimsollError(thrown)).toMatchObject({ kind: 'internal', code: 'internal.unexpected' })
  },
)

test('a house error passes unchanged, also one made by a second copy of the class', () => {
  const own = new PlimsollError('not_found', 'a.b', 'Cannot find it', { name: 'x' })
  expect(toPlimsollError(own)).toBe(own)
  const copy = Object.assign(new Error('Cannot find it'), { kind: 'not_found', code: 'a.b', details: {} })
  expect(isPlimsollError(copy)).toBe(true)
  expect(toPlimsollError(copy)).toBe(copy)
  expect(isPlimsollError(Object.assign(new Error('x'), { kind: 'nonsense', code: 'a.b' }))).toBe(false)
  expect(isPlimsollError({ kind: 'invalid', code: 'a.b' })).toBe(false)
})

test('every kind has a status of failure, and only 429, 503, 504 and 507 are worth a retry', () => {
  for (const { status, retry } of Object.values(ERROR_KINDS)) {
    expect(status).toBeGreaterThanOrEqual(400)
    expect(retry).toBe([429, 503, 504, 507].includes(status))
  }
})

test('refuseFaults() throws all faults at once, and nothing for none', () => {
  refuseFaults('a.b', 'Cannot take it', [])
  const faults = [
    { pointer: '/a', detail: 'is missing' },
    { pointer: '/b', detail: 'is no number' },
  ]
  expect(() => refuseFaults('a.b', 'Cannot take it', faults)).toThrow(
    expect.objectContaining({ kind: 'invalid', details: { faults } }),
  )
})

test('pointerOf() names the place of a path, also below names with / and ~, and the whole by nothing', () => {
  expect(pointerOf([])).toBe('')
  expect(pointerOf(['files', 0, 'a/b~1'])).toBe('/files/0/a~1b~01')
})
