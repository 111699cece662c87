import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { openClient } from '@plimsoll/sdk/client'
import { datasetDetail } from '@plimsoll/sdk/wire'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeDataset, judge } from './dataset.ts'
import type { Io } from './io.ts'

/** As servers have answered it, without its result. */
const STEP = {
  key: 'numbers',
  kind: 'dataset-version',
  state: 'succeeded',
  reason: null,
  needs: [],
  attempts: 1,
  cache: null,
  outputs: [],
  progress: null,
  trackedRun: null,
  startedAt: null,
  finishedAt: null,
  definition: { key: 'numbers', kind: 'dataset-version' },
  params: {},
  spec: null,
  inputs: [],
  tries: [],
}

let result: unknown
const server = createServer((_request, response) => {
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify({ ...STEP, result }))
})
beforeAll(() => new Promise<void>((done) => server.listen(0, '127.0.0.1', done)))
afterAll(() => server.close())

/** Judges a step that answered this, and gives what was said of it. */
async function judged(answer: unknown, said: string[] = []): Promise<string[]> {
  result = answer
  const io: Io = {
    isJson: false,
    isTerminal: false,
    answer: (_value, text) => void said.push(...[text].flat()),
    note: (line) => void said.push(line),
    tell: (_value, line) => void said.push(line),
    progress: () => {},
    endProgress: () => {},
  }
  const { port } = server.address() as AddressInfo // it listens on TCP
  await judge(openClient({ server: `http://127.0.0.1:${port}` }), io, 'run_1', 'numbers', { reference: '1' })
  return said
}

test('describeDataset() lists columns by name, whatever their order in JSON', () => {
  const column = { type: 'int32', nullable: false }
  const dataset = datasetDetail.parse({
    ...{ name: 'numbers', origin: 'declared', latestVersion: null, latestVerdict: null },
    ...{ createdAt: '2026-01-02T03:04:05.000Z', updatedAt: '2026-01-02T03:04:05.000Z', definitionDigest: null },
    definition: {
      kind: 'dataset',
      name: 'numbers',
      source: { format: 'csv', path: 'a.csv', csv: { delimiter: ',', header: true, nullText: '' } },
      schema: { z: column, hour: column, distance: column },
    },
  })
  expect(describeDataset(dataset)).toContain('  columns   distance int32, hour int32, z int32')
})

test('judge() reads the verdict of a server that says more of the version, or less of what it needs not', async () => {
  const passed = { version: 2, verdict: 'passed', failed: 0, evaluated: 5, drift: 0.1 }
  expect(await judged(passed)).toEqual(['Version 2 passed 5 expectations'])
  expect(await judged({ ...passed, isNew: true })).toEqual(['Version 2 passed 5 expectations'])
  expect(await judged({ ...passed, isNew: false })).toEqual([
    'Version 2 was there before and keeps its profile: --reference 1 had no effect',
    'Version 2 passed 5 expectations',
  ])
  const said: string[] = []
  await expect(judged({ ...passed, verdict: 'failed', failed: 3 }, said)).rejects.toMatchObject({ exitCode: 3 })
  expect(said).toEqual([expect.stringMatching(/^Version 2 failed 3 of 5 expectations: /)])
})

test.each([
  ['no result', null],
  ['no verdict', { version: 2, failed: 3, evaluated: 5 }],
  ['a verdict that is not known here', { version: 2, verdict: 'doubtful', failed: 3, evaluated: 5 }],
])('judge() lets nothing pass that has %s', async (_what, answer) => {
  await expect(judged(answer)).rejects.toMatchObject({ code: 'client.bad_answer', status: 500 })
})
