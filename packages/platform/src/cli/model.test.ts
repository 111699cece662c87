import type { ModelVersionView } from '@plimsoll/sdk/wire'
import { expect, test } from 'vitest'
import { boundOf, digestOf } from '../registry/registry.fixture.ts'
import { describeVersion } from './model.ts'

const NOTHING = { owner: null, intendedUse: null, outOfScope: null, limitations: null, licence: null, riskClass: null }

function versionOf(bound: ModelVersionView['bound']): ModelVersionView {
  return {
    model: 'delay',
    version: 1,
    artifact: digestOf('stripped'),
    passport: digestOf('passport'),
    sizeBytes: 100,
    aliases: [],
    run: null,
    trackedRun: null,
    metrics: {},
    createdBy: 'ada',
    createdAt: '2026-01-01T00:00:00.000Z',
    description: '',
    bound,
    notes: { description: '', ...NOTHING },
    notesRevision: null,
    gaps: [],
    environment: 'production',
    approvals: [],
    history: [],
  }
}

test('describeVersion() says what an artifact was derived from and which classes its outputs have, where it has any', () => {
  const scores = { name: 'scores', datatype: 'FP32', shape: [-1, 3] }
  const signatureOf = (labels: string[]) => ({ inputs: [], outputs: [{ ...scores, labels }], maxBatchSize: 1 })
  const derived = boundOf('x', {
    parents: [digestOf('left')],
    signature: signatureOf(['late', 'on time', '\u001b[2J']),
  })
  expect(describeVersion(versionOf(derived), '').slice(1, 6)).toEqual([
    `  artifact     ${digestOf('stripped')}`,
    `  parent       ${digestOf('left')}`,
    '  classes      late, on time, \\u001b[2J (columns of scores)',
    `  passport     ${digestOf('passport')}`,
    '  made         2026-01-01T00:00:00 by ada',
  ])
  const made = boundOf('x', { origin: { ...boundOf('x').origin, step: 'fit' } })
  expect(describeVersion({ ...versionOf(made), run: 'run_1' }, '')).toContain(
    '  made         2026-01-01T00:00:00 by ada, run_1/fit',
  )
  const many = boundOf('x', { signature: signatureOf(Array.from({ length: 14 }, (_, at) => String(at))) })
  expect(describeVersion(versionOf(many), '')).toContain(
    '  classes      0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 2 more (columns of scores)',
  )
  expect(describeVersion(versionOf(boundOf('x')), '').join('\n')).not.toMatch(/parent|classes/)
})

test('describeVersion() says by whom and when the notes became what they are, where anybody said anything', () => {
  const silent = versionOf(boundOf('x'))
  const said = { revision: 2, digest: digestOf('notes'), by: 'ada', at: '2026-01-02T03:04:05.678Z' }
  expect(describeVersion({ ...silent, notesRevision: said }, '')).toContain(
    `  notes        ${digestOf('notes').slice(0, 19)} by ada, 2026-01-02T03:04:05`,
  )
  expect(describeVersion(silent, '').join('\n')).not.toContain('notes')
})
