import { ClientError } from '@plimsoll/sdk/client'
import { expect, test } from 'vitest'
import { namingFlags, repeatingFlags } from './command.ts'

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

test('repeatingFlags() takes the name of a folder for no command', () => {
  const hint = failure('--data-dir DIR or the nearest .plimsoll instead of --server sends that of the operator')
  expect(repeatingFlags(hint, { server: 'http://127.0.0.1:1' })).toBe(hint)
})

test('namingFlags() tells faults of the request as those of the flags and arguments that gave it, or not at all', () => {
  const names = new Map([
    ['limit', '--limit'],
    ['principal', '<principal>'],
  ])
  const refused = (...pointers: string[]) =>
    new ClientError({
      status: 400,
      code: 'http.invalid_request',
      detail: 'Cannot take the request',
      faults: pointers.map((pointer) => ({ pointer, detail: 'expected less, found 9' })),
    })
  expect(namingFlags(refused('?limit', '/principal'), names, 'plimsoll token create')).toMatchObject({
    message: 'Cannot use --limit: expected less, found 9; <principal>: expected less, found 9',
    action: 'See plimsoll token create --help',
  })
  const ofParams = new ClientError({
    status: 400,
    code: 'pipelines.bad_params',
    detail: 'Cannot start pipeline "train"',
    faults: [{ pointer: '/params/trees', detail: 'expected number, found "many"' }],
  })
  expect(namingFlags(ofParams, new Map([['param', '--param']]), 'plimsoll run start')).toMatchObject({
    message: 'Cannot use --param trees: expected number, found "many"',
  })
  expect(namingFlags(ofParams, names, 'plimsoll x')).toBe(ofParams)
  const ofForce = new ClientError({
    ...ofParams,
    status: 400,
    detail: '',
    code: 'pipelines.unknown_step',
    faults: [{ pointer: '/options/forceFrom', detail: 'there is no step fti; there is only fit' }],
  })
  expect(namingFlags(ofForce, new Map([['forceFrom', '--force-from']]), 'plimsoll run start')).toMatchObject({
    message: 'Cannot use --force-from: there is no step fti; there is only fit',
  })
  for (const thrown of [refused('?limit', '/other'), refused(), refused('/limit/0'), failure('Try again')])
    expect(namingFlags(thrown, names, 'plimsoll x')).toBe(thrown)
})
