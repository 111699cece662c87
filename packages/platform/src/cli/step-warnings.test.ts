import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { openClient } from '@plimsoll/sdk/client'
import { type RunView, runView } from '@plimsoll/sdk/wire'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeRun } from './run-follow.ts'
import { findWarnings } from './step-warnings.ts'

const line = (level: number, msg: string) => JSON.stringify({ level, time: 1, pid: 7, name: 'step a', msg })
const LOG = [line(40, 'first'), line(40, 'second'), line(30, 'told'), line(40, 'third'), line(40, 'fourth'), 'other']

const asked: string[] = []
const server = createServer((request, response) => {
  asked.push(request.url!)
  if (request.url!.includes('gone')) response.writeHead(404)
  response.end(`${LOG.join('\n')}\n`)
})
beforeAll(() => new Promise<void>((done) => server.listen(0, '127.0.0.1', done)))
afterAll(() => server.close())

const stepOf = (key: string, kind: string, state = 'succeeded') => ({
  ...{ key, kind, state, reason: null, needs: [], attempts: 1, cache: null, outputs: [], progress: null },
  ...{ trackedRun: null, startedAt: null, finishedAt: null },
})
const RUN: RunView = runView.parse({
  ...{ id: 'run_1', pipeline: 'p', pipelineDigest: `sha256:${'0'.repeat(64)}`, state: 'succeeded', reason: null },
  ...{ actor: 'ada', createdAt: '2026-01-02T03:04:05.000Z', startedAt: null, finishedAt: null, params: {} },
  steps: { total: 5, done: 5, cached: 1, failed: 0, running: 0 },
  graph: [
    stepOf('board', 'materialize'),
    stepOf('fit', 'python'),
    stepOf('set', 'training-set', 'cached'),
    stepOf('gone', 'register'),
    stepOf('going', 'materialize', 'running'),
  ],
})

test('findWarnings() gives the last warnings of steps of the platform that ran here and have ended', async () => {
  const client = openClient({ server: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }) // it listens on TCP
  const warnings = await findWarnings(client, RUN)
  expect([...warnings]).toEqual([['board', ['second', 'third', 'fourth']]])
  expect(asked.filter((url) => !/steps\/(board|gone)\/log$/.test(url))).toEqual([])
  expect(describeRun(RUN, '', undefined, warnings)).toContain('  board: warning: second')
})
