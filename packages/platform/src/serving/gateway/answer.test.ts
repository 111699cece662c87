import { afterAll, beforeAll, expect, test } from 'vitest'
import { identityModel, model } from '../../inference/onnx.fixture.ts'
import { jsonElements } from './answer.ts'
import { type OpenedGateway, openTestGateway, routeTo } from './gateway.fixture.ts'

let opened: OpenedGateway
beforeAll(async () => {
  opened = await openTestGateway()
  const { control, gateway } = opened
  const versions = {
    fp16: control.addVersion(identityModel('FP16')),
    means: control.addVersion(
      model({
        nodes: [
          {
            op: 'ReduceMean',
            inputs: ['x'],
            outputs: ['y'],
            attributes: { axes: { ints: [0] }, keepdims: { int: 0 } },
          },
        ],
        inputs: [{ name: 'x', type: 'FP32', shape: ['n', 2] }],
        outputs: [{ name: 'y', type: 'FP32', shape: [2] }],
      }),
    ),
  }
  const routes = Object.entries(versions).map(([name, version]) => routeTo(version, name, ['p', 'q']))
  const p = { type: 'float64' as const, nullable: true }
  const q = { type: 'float64' as const, nullable: false }
  routes.push(routeTo(versions.fp16, 'gaps', ['p', 'q'], { inputs: { p, q } }))
  expect(await gateway.offer(control.publish(1, routes, Object.values(versions)))).toBe(true)
})
afterAll(() => opened.close())

const post = async (
  path: string,
  body: object | string,
): Promise<{ status: number; json: Record<string, unknown> }> => {
  const headers = { 'content-type': 'application/json' }
  const response = await fetch(`${opened.url}${path}`, {
    method: 'POST',
    headers,
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
  return { status: response.status, json: (await response.json()) as Record<string, unknown> }
}

test('jsonElements() gives FP16 as numbers, in both answers and in the record', async () => {
  const rows = [{ p: 1.5, q: -2 }]
  const { json } = await post('/predict/fp16', { rows })
  expect(json).toMatchObject({ predictions: [{ y: [1.5, -2] }] })
  expect((await post('/invocations/fp16', { dataframe_records: rows })).json).toEqual({ predictions: [[1.5, -2]] })
  expect(opened.records().find(({ id }) => id === json['prediction_id'])?.outputs).toEqual({ y: [1.5, -2] })
})

test('jsonElements() has null for a half that is no number', () => {
  const data = Uint16Array.of(0, 0x7e00, 0x7c00, 0x3555).subarray(1)
  const tensor = { name: 'y', datatype: 'FP16' as const, shape: [3], data }
  expect(jsonElements(tensor, 0, 3)).toEqual([null, null, 0.333251953125])
})

test.each([
  ['/predict/means', 'rows'],
  ['/invocations/means', 'dataframe_records'],
])('demandRows() refuses at %s an output that has no rows, and records nothing', async (path, key) => {
  const before = opened.records().length
  for (const count of [1, 3]) {
    const { status, json } = await post(path, { [key]: Array.from({ length: count }, (_, p) => ({ p, q: 0 })) })
    expect([status, json['code']]).toEqual([501, 'serving.output_without_rows'])
  }
  expect(opened.records()).toHaveLength(before)
})

test('answerInvocations() takes a bare NaN as MLflow writes it, where the route takes null', async () => {
  const split = (cells: string) => `{"dataframe_split":{"columns":["p","q"],"data":[[${cells}]]}}`
  expect(await post('/invocations/gaps', split('NaN,1'))).toEqual({ status: 200, json: { predictions: [[null, 1]] } })
  const { status, json } = await post('/invocations/gaps', split('1,NaN'))
  expect([status, json['code']]).toEqual([400, 'serving.invalid_input'])
  expect((await post('/predict/gaps', '{"rows":[{"p":NaN,"q":1}]}')).json['code']).toBe('serving.bad_json')
})
