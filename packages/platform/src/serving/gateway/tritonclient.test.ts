import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { identityModel } from '../../inference/onnx.fixture.ts'
import { openPython } from '../../tracking/python.fixture.ts'
import { openTestGateway, routeTo } from './gateway.fixture.ts'

const found = await openPython('tritonclient-2.73.0', ['tritonclient[http]==2.73.0'])

test('the gateway answers the real tritonclient over HTTP', async (context) => {
  if ('reason' in found) return context.skip(found.reason)
  const opened = await openTestGateway()
  try {
    const { control, gateway } = opened
    const versions = {
      delay: control.addVersion(identityModel()),
      text: control.addVersion(identityModel('BYTES', ['n'])),
      int64: control.addVersion(identityModel('INT64')),
      fp16: control.addVersion(identityModel('FP16')),
    }
    const routes = Object.entries(versions).map(([name, version]) => routeTo(version, name, ['p', 'q']))
    expect(await gateway.offer(control.publish(1, routes, Object.values(versions)))).toBe(true)
    const script = join(import.meta.dirname, 'tritonclient.fixture.py')
    const { stdout } = await promisify(execFile)(found.python, [script, opened.url.slice('http://'.length)], {
      timeout: 50_000,
    })
    const x = [
      [1.5, -2],
      [3, 4],
    ]
    expect(JSON.parse(stdout)).toMatchObject({
      live: true,
      ready: true,
      model: true,
      unknown: false,
      extensions: expect.arrayContaining(['binary_tensor_data', 'classification']),
      metadata: { name: 'delay', inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }] },
      config: 1024,
      index: expect.arrayContaining([{ name: 'delay', version: '1', state: 'READY' }]),
      default: x,
      json: x,
      packed: x,
      large: true,
      text: ['é', ''],
      exact: [['9007199254740993', '-1']],
      id: '42',
      half: [[1, 2]],
      classes: [['1.500000:0'], ['4.000000:1']],
      successes: expect.any(Number),
      error: ['400', expect.stringContaining('shape')],
      missing: '404',
      async: [[[1.5, -2]]],
    })
  } finally {
    await opened.close()
  }
})
