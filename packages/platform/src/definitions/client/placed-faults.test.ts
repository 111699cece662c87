import { ClientError } from '@plimsoll/sdk/client'
import { expect, test } from 'vitest'
import { placeFaults } from './placed-faults.ts'

const lineOf = (of: { kind: string; name: string }, path: readonly PropertyKey[]) =>
  `${of.kind}.${of.name}:${path.join('>')}: `

function refused(detail: string, faults: ClientError['faults']): ClientError {
  return new ClientError({ status: 400, code: 'x.y', detail, action: undefined, faults, requestId: undefined })
}

test('placeFaults() gives each fault the line of its member, and none to what stands for faults that are left out', () => {
  const faults = [
    { pointer: '/views/0/a~1b', detail: 'no such view' },
    { pointer: '', detail: 'it has no views' },
    { pointer: '', detail: 'and 1 more fault' },
    { pointer: '', detail: 'and 50 more faults' },
  ]
  expect(
    (placeFaults({ lineOf }, refused('Cannot declare feature service "board"', faults)) as ClientError).faults,
  ).toEqual([
    { pointer: '/views/0/a~1b', detail: 'feature-service.board:views>0>a/b: no such view' },
    { pointer: '', detail: 'feature-service.board:: it has no views' },
    { pointer: '', detail: 'and 1 more fault' },
    { pointer: '', detail: 'and 50 more faults' },
  ])
})

test('placeFaults() leaves alone what is not said of a definition', () => {
  for (const failure of [refused('The plan is stale', [{ pointer: '/a', detail: 'b' }]), new Error('gone')])
    expect(placeFaults({ lineOf }, failure)).toBe(failure)
})
