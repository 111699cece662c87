import { ClientError } from '@plimsoll/sdk/client'
import { expect, test } from 'vitest'
import { repeatingFlags } from './command.ts'

function failure(action: string | undefined, details: string[] = []): ClientError {
  const faults = details.map((detail) => ({ pointer: '/gaps/0', detail }))
  return new ClientError({ status: 409, code: 'delivery.passport_gaps', detail: 'Cannot release m/1', action, faults })
}

test('repeatingFlags() adds the flags of this command to a failure that names commands, and to no other', () => {
  const flags = ' --data-dir /tmp/d'
  expect(repeatingFlags(failure('Approve it: plimsoll approve m 1'), flags)).toMatchObject({
    code: 'delivery.passport_gaps',
    message: 'Cannot release m/1',
    action: 'Approve it: plimsoll approve m 1. Commands named here need --data-dir /tmp/d',
  })
  expect(repeatingFlags(failure(undefined, ['no owner: plimsoll model note m 1 --owner NAME']), flags)).toMatchObject({
    action: 'Commands named here need --data-dir /tmp/d',
    faults: [{ pointer: '/gaps/0' }],
  })
  for (const [thrown, given] of [
    [failure('Approve it: plimsoll approve m 1'), ''],
    [failure('Try again later'), flags],
    [new Error('plimsoll up'), flags],
  ] as const)
    expect(repeatingFlags(thrown, given)).toBe(thrown)
})
