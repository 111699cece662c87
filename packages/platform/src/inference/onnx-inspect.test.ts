import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isPlimsollError } from '../kernel/errors.ts'
import {
  bombModel,
  customDomainModel,
  deepIfModel,
  externalDataModel,
  graph,
  identityModel,
  mapSequenceInfo,
  mlpModel,
  model,
  zipMapModel,
} from './onnx.fixture.ts'
import { inspectOnnx } from './onnx-inspect.ts'
import { stripZipMap } from './zip-map.ts'

describe('inspectOnnx()', () => {
  test('reads inputs without initialisers, symbolic dimensions as −1', () => {
    const report = inspectOnnx(mlpModel(4, 2))
    expect(report).toMatchObject({
      irVersion: 8,
      producer: { name: 'fixture' },
      opsets: [{ domain: 'ai.onnx', version: 13 }],
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 20] }],
      outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, 2] }],
      initializers: 2,
      depth: 1,
      operators: { Identity: 1, MatMul: 2, Relu: 1 },
    })
  })

  test('reads a negative dimension as one that varies', () => {
    const report = inspectOnnx(
      model({ nodes: [], inputs: [{ name: 'x', type: 'FP32', shape: [-1, 2 ** 31 - 1] }], outputs: [] }),
    )
    expect(report.inputs).toEqual([{ name: 'x', datatype: 'FP32', shape: [-1, 2 ** 31 - 1] }])
  })

  test.each([['../../etc/passwd'], ['/etc/passwd'], ['weights.bin']])(
    'refuses data outside the file: %s',
    (location) => {
      expect(() => inspectOnnx(externalDataModel(location))).toThrow(
        expect.objectContaining({ code: 'inference.onnx_external_data' }),
      )
    },
  )

  test.each([
    ['an unknown operator domain', customDomainModel(), /evil\.example/],
    ['2,000 nested graphs', deepIfModel(2000), /deeper than 16/],
    ['a newer IR', model({ irVersion: 99, nodes: [], inputs: [], outputs: [] }), /IR version is 99/],
    ['a newer operator set', model({ opset: 99, nodes: [], inputs: [], outputs: [] }), /ai\.onnx 99/],
    ['a map without ZipMap', model({ nodes: [], inputs: [], outputs: [mapSequenceInfo('m')] }), /"m" is a sequence/],
    ['a map that a node takes', zipMapModel({ isTaken: true }), /"probabilities" is a sequence/],
    [
      '5,000 outputs',
      model({
        nodes: [],
        inputs: [],
        outputs: Array.from({ length: 5000 }, (_, i) => ({ name: `y${i}`, type: 'FP32', shape: [] })),
      }),
      /more than 4096/,
    ],
    [
      'a dimension that no index reaches',
      model({ nodes: [], inputs: [{ name: 'x', type: 'FP32', shape: [2 ** 31] }], outputs: [] }),
      /"x" has a dimension of 2147483648, at most 2147483647/,
    ],
    ['a graph alone', graph({ nodes: [], inputs: [], outputs: [] }), /./],
  ] as const)('refuses %s', (_, bytes, message) => {
    expect(() => inspectOnnx(bytes)).toThrow(
      expect.objectContaining({ kind: 'invalid', message: expect.stringMatching(message) }),
    )
  })

  test('says of a map how to export the model without', () => {
    const mapped = model({ nodes: [], inputs: [], outputs: [mapSequenceInfo('m')] })
    expect(() => inspectOnnx(mapped)).toThrow(
      expect.objectContaining({ details: { action: expect.stringContaining("options={'zipmap': False}") } }),
    )
  })

  test.each([
    ['no bytes', new Uint8Array(0), 'it has no graph'],
    ['a field that ends early', Uint8Array.of(0x3a, 0x05, 0x01), 'it is not well-formed protobuf'],
    ['a producer that is no text', Uint8Array.of(0x12, 0x01, 0xff), 'a name is not UTF-8'],
  ])('refuses %s as malformed', (_, bytes, why) => {
    expect(() => inspectOnnx(bytes)).toThrow(
      expect.objectContaining({ code: 'inference.onnx_malformed', message: expect.stringContaining(why) }),
    )
  })

  test('passes a model whose cost shows only when it runs', () => {
    expect(inspectOnnx(bombModel(40)).outputs).toHaveLength(1)
  })

  test('throws nothing but house errors on random bytes and on every truncation and flip', () => {
    const quiet = (bytes: Uint8Array) => {
      try {
        inspectOnnx(bytes)
      } catch (thrown) {
        if (!isPlimsollError(thrown)) throw thrown
      }
    }
    fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), quiet))
    const good = zipMapModel()
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.nat(255), fc.boolean(), (at, byte, isCut) => {
        const bytes = good.slice(0, isCut ? at : good.length)
        if (!isCut) bytes[at] = byte
        quiet(bytes)
      }),
      { numRuns: 2000 },
    )
  })
})

describe('stripZipMap()', () => {
  test('makes the scores the output, keeps the label, gives a new digest and the classes', () => {
    const original = zipMapModel()
    expect(inspectOnnx(original).zipMap).toEqual({ output: 'probabilities', tensor: 'scores', labels: ['7', '9'] })
    const stripped = stripZipMap(original)
    const report = inspectOnnx(stripped.bytes)
    expect(report.zipMap).toBeUndefined()
    expect(report.outputs).toEqual([
      { name: 'label', datatype: 'INT64', shape: [-1] },
      { name: 'scores', datatype: 'FP32', shape: [-1, 2] },
    ])
    expect(stripped).toMatchObject({ labels: ['7', '9'], parent: inspectOnnx(original).digest, digest: report.digest })
    expect(stripped.digest).not.toBe(stripped.parent)
  })

  test.each([
    [['7', '9'], undefined],
    [
      ['late', 'on time'],
      ['late', 'on time'],
    ],
  ])('gives the classes %j as texts', (labels, texts) => {
    expect(stripZipMap(zipMapModel({ ...(texts && { texts }) })).labels).toEqual(labels)
  })

  test('gives a tensor once that is an output beside its map', () => {
    const original = zipMapModel({ isTensorGiven: true })
    const outputs = [
      { name: 'label', datatype: 'INT64', shape: [-1] },
      { name: 'scores', datatype: 'FP32', shape: [-1, 2] },
    ]
    expect(inspectOnnx(original).outputs).toEqual(outputs)
    expect(inspectOnnx(stripZipMap(original).bytes).outputs).toEqual(outputs)
  })

  test('refuses a model without ZipMap', () => {
    expect(() => stripZipMap(identityModel())).toThrow(expect.objectContaining({ code: 'inference.onnx_refused' }))
  })
})
