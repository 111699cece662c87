import type { SpineLink } from '@plimsoll/sdk/wire'
import { expect, test } from 'vitest'
import { explanationLines } from './explanation-lines.ts'

const link = (change: Partial<SpineLink>): SpineLink => ({
  kind: 'run',
  name: 'run_1/fit',
  digest: null,
  check: 'recorded',
  detail: {},
  problem: null,
  ...change,
})

test('explanationLines() gives each link its mark, the strength of data, and what is wrong', () => {
  const links = [
    link({
      kind: 'training-data',
      name: 'flights/5',
      digest: 'sha256:d',
      check: 'verified',
      detail: { strength: 'content' },
    }),
    link({
      kind: 'source-data',
      name: 'old\u001b[2J',
      digest: 'sha256:e',
      check: 'altered',
      problem: 'File a\u0007 is altered',
    }),
    link({}),
    link({ kind: 'commit', name: 'c0ffee', digest: 'sha256:f', check: 'verified', detail: { dirty: true } }),
  ]
  const lines = explanationLines({ prediction: 'p', isIntact: false, links })
  expect(lines.map((line) => line.replace(/[^\x20-\x7e✓·✗]/g, '?'))).toEqual([
    '✓ training-data flights/5',
    '    sha256:d (content)',
    expect.stringMatching(/^✗ source-data {3}old/),
    '    sha256:e',
    expect.stringMatching(/^ {4}altered: File a.* is altered$/),
    '· run           run_1/fit',
    '✓ commit        c0ffee',
    '    sha256:f',
    '    the tree had changes that were not committed',
  ])
  for (const line of lines) expect(line).not.toMatch(/\p{Cc}/u)
})

test('explanationLines() aligns names by the longest kind, and says that a release has the digest of what it releases', () => {
  const links = [
    link({ kind: 'prediction', name: 'p', detail: { at: '2026-01-02T03:04:05.000Z' } }),
    link({
      kind: 'release',
      name: 'rel_1',
      digest: 'sha256:a',
      detail: {
        by: 'ada',
        reason: 'bet\u001bter',
        at: '2026-01-02T03:04:05.000Z',
        approvals: [
          { by: 'bob', selfApproved: false },
          { by: 'eve', selfApproved: true },
        ],
      },
    }),
    link({ kind: 'feature-service', name: 'board', digest: 'sha256:b', check: 'verified' }),
  ]
  expect(explanationLines({ prediction: 'p', isIntact: true, links })).toEqual([
    '· prediction      p',
    '    at 2026-01-02T03:04:05.000Z',
    '· release         rel_1',
    '    releases sha256:a',
    '    by ada, 2026-01-02T03:04:05.000Z: bet\\u001bter',
    '    approved by bob, eve (self-approved)',
    '✓ feature-service board',
    '    sha256:b',
  ])
})
