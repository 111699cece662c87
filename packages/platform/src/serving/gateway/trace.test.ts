import { predictionRecord } from '@plimsoll/sdk/wire'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { identityModel } from '../../inference/onnx.fixture.ts'
import { openLog } from '../../kernel/log.ts'
import { type OpenedGateway, openTestGateway, routeTo } from './gateway.fixture.ts'

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const ZEROS = '0'.repeat(32)
const lines: string[] = []
let opened: OpenedGateway
beforeAll(async () => {
  const destination = { write: (line: string) => void lines.push(line) }
  opened = await openTestGateway({ logger: openLog({ level: 'error', name: 'test', destination }) })
  const delay = opened.control.addVersion(identityModel())
  await opened.gateway.offer(opened.control.publish(1, [routeTo(delay, 'delay', ['p', 'q'])], [delay]))
})
afterAll(() => opened.close())

const ask = (path: string, body: object, traceparent?: string) =>
  fetch(opened.url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(traceparent === undefined ? {} : { traceparent }) },
    body: JSON.stringify(body),
  })
const of = (trace: string) => `00-${trace}-00f067aa0ba902b7-01`
const isNew = (traceId: string | undefined) => /^[0-9a-f]{32}$/.test(traceId ?? '') && traceId !== ZEROS

test.each([
  ['/predict/delay', { p: 1, q: 2 }],
  ['/invocations/delay', { instances: [{ p: 1, q: 2 }] }],
  ['/v2/models/delay/infer', { inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2], data: [1, 2] }] }],
])('%s records the trace of its request: one that it continues, a new one, or none', async (path, body) => {
  const recorded = async (traceparent?: string) => {
    const answer = await ask(path, body, traceparent)
    expect(answer.status).toBe(200)
    const id = answer.headers.get('x-plimsoll-prediction-id')
    return predictionRecord.parse(opened.records().find((record) => record.id === id)).traceId
  }
  expect(await recorded(of(TRACE))).toBe(TRACE)
  for (const invalid of [of(ZEROS), 'no trace', `${of(TRACE)}-more`]) expect(isNew(await recorded(invalid))).toBe(true)
  expect(await recorded()).toBeUndefined()
})

test('a failure is logged under its request and under its trace', async () => {
  opened.log.append = () => {
    throw new Error('broken')
  }
  const logged = async (traceparent?: string) => {
    const answer = await ask('/predict/delay', { p: 1, q: 2 }, traceparent)
    expect(answer.status).toBe(500)
    const { requestId, traceId } = JSON.parse(lines.pop() ?? '') as { requestId: string; traceId?: string }
    expect(requestId).toBe(answer.headers.get('x-request-id'))
    return traceId
  }
  expect(await logged(of(TRACE))).toBe(TRACE)
  expect(isNew(await logged(of(ZEROS)))).toBe(true)
  expect(await logged()).toBeUndefined()
})
