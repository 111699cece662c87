import { ClientError } from '@plimsoll/sdk/client'
import { expect, test } from 'vitest'
import { repeatingFlags } from './command.ts'

function failure(action: string | undefined, details: string[] = []): ClientError {
  const faults = details.map((detail) => ({ pointer: '/gaps/0', detail }))
  return new ClientError({ status: 409, code: 'delivery.passport_gaps', detail: 'Cannot release m/1', action, faults })
}

test('repeatingFlags() adds the flags of this command to a failure that names commands, and to no other', () => {
  const options = { dataDir: '/tmp/d' }
  expect(repeatingFlags(failure('Approve it: plimsoll approve m 1'), options)).toMatchObject({
    code: 'delivery.passport_gaps',
    message: 'Cannot release m/1',
    action: 'Approve it: plimsoll approve m 1. Commands named here need --data-dir /tmp/d',
  })
  expect(
    repeatingFlags(failure(undefined, ['no approval: plimsoll approve m 1 --environment production']), options),
  ).toMatchObject({ action: 'Commands named here need --data-dir /tmp/d', faults: [{ pointer: '/gaps/0' }] })
  for (const [thrown, given] of [
    [failure('Approve it: plimsoll approve m 1'), {}],
    [failure('Try again later'), options],
    [failure('Start it with plimsoll up --data-dir /tmp/d'), options],
    [new Error('plimsoll up'), options],
  ] as const)
    expect(repeatingFlags(thrown, given)).toBe(thrown)
})

test('repeatingFlags() leaves out what the commands named cannot take', () => {
  const of = (code: string, action: string) => new ClientError({ status: 404, code, detail: 'Cannot', action })
  expect(
    repeatingFlags(of('auth.project_not_found', 'plimsoll project create b'), { project: 'b', dataDir: 'd' }),
  ).toMatchObject({ action: 'plimsoll project create b. Commands named here need --data-dir d' })
  const away = of('client.unreachable', 'Start it with plimsoll up')
  expect(repeatingFlags(away, { server: 'http://127.0.0.1:1' })).toBe(away)
})
