import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isPlimsollError } from '../kernel/errors.ts'
import { chooseCoding, expandBody } from './content-coding.ts'
import { decodeInferRequest } from './infer-decode.ts'
import { encodeInferResponse } from './infer-encode.ts'
import { DATATYPES, type Datatype, type ModelInterface, type Tensor } from './tensor.ts'

const identity = (datatype: Datatype, shape = [-1, 2]): ModelInterface => ({
  inputs: [{ name: 'x', datatype, shape }],
  outputs: [{ name: 'y', datatype, shape }],
  maxBatchSize: 8,
})
const decode = (model: ModelInterface, body: unknown, tail = Buffer.alloc(0), headerLength?: string) => {
  const json = Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
  const length = headerLength ?? (tail.length > 0 ? String(json.length) : undefined)
  return decodeInferRequest({ model, body: Buffer.concat([json, tail]), headerLength: length })
}
const input = (datatype: Datatype, shape: unknown, data: unknown) => ({
  inputs: [{ name: 'x', datatype, shape, data }],
})
const back = (request: ReturnType<typeof decode>, output: Partial<Tensor> = {}) => {
  const [x] = request.inputs
  return encodeInferResponse({
    modelName: 'r',
    modelVersion: '3',
    request,
    maxBatchSize: 8,
    outputs: [{ ...x!, name: 'y', ...output }],
  })
}
const refused = (message: RegExp) =>
  expect.objectContaining({ kind: 'invalid', message: expect.stringMatching(message) })

describe('decodeInferRequest()', () => {
  test('takes flat and nested data alike', () => {
    const flat = decode(identity('FP32'), input('FP32', [2, 2], [1, 2, 3, 4]))
    expect(
      decode(
        identity('FP32'),
        input(
          'FP32',
          [2, 2],
          [
            [1, 2],
            [3, 4],
          ],
        ),
      ),
    ).toEqual(flat)
    expect(flat).toMatchObject({ rows: 2, inputs: [{ data: Float32Array.of(1, 2, 3, 4) }] })
  })

  test.each([
    ['too few elements', input('FP32', [2, 2], [1, 2, 3]), /has 3 elements/],
    ['ragged lists', input('FP32', [2, 2], [[1, 2], [3]]), /ragged/],
    ['a negative dimension', input('FP32', [-1, 2], [1]), /shape/],
    ['a product past 2^53', input('FP32', [2 ** 31, 2 ** 31], [1]), /2\^53/],
    ['a wrong datatype', input('FP64', [1, 2], [1, 2]), /FP64/],
    ['text for a number', input('FP32', [1, 2], ['1', 2]), /holds "1"/],
    [
      'data and a binary size',
      { inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2], data: [1, 2], parameters: { binary_data_size: 8 } }] },
      /exactly one/,
    ],
    ['no inputs', {}, /inputs is not a list/],
    ['more rows than allowed', input('FP32', [10_001, 2], Array(20_002).fill(0)), /10001 rows, at most 10000/],
    ['an unknown output', { ...input('FP32', [1, 2], [1, 2]), outputs: [{ name: 'q' }] }, /"q"/],
    ['a bad timeout', { ...input('FP32', [1, 2], [1, 2]), parameters: { timeout: -1 } }, /timeout/],
    ['a number for an id', { ...input('FP32', [1, 2], [1, 2]), id: 7 }, /id/],
    ['not JSON', '{"inputs":[}', /Cannot read/],
    ['a member named twice', '{"inputs":[{"name":"x","name":"x","data":[NaN]}]}', /names a member twice/],
    [
      'a number that no double holds',
      '{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[1e400,2]}]}',
      /beyond what a double holds: 1e400/,
    ],
    [
      'one beside NaN',
      '{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[-1.5E+0309,NaN]}]}',
      /double holds: -1.5E\+0309/,
    ],
    [
      'one of many digits',
      `{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[${'9'.repeat(250)}e60,2]}]}`,
      /beyond what/,
    ],
    ['a million brackets', '['.repeat(1_000_000), /nested deeper/],
  ])('refuses %s', (_, body, message) => {
    expect(() => decode(identity('FP32'), body)).toThrow(refused(message))
  })

  test('refuses more elements than JSON is read of, and says how to send them', () => {
    const body = `{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[${'1,'.repeat(2_000_001)}1]}]}`
    expect(() => decode(identity('FP32'), body)).toThrow(
      expect.objectContaining({
        code: 'http.json_too_large',
        details: { action: 'Send the tensors as binary data' },
      }),
    )
  })

  test('takes a dimension of 0 with no data, and no dimension as one element', () => {
    expect(decode(identity('FP32', [-1, -1]), input('FP32', [2, 0], []))).toMatchObject({ inputs: [{ shape: [2, 0] }] })
    const scalar = { ...identity('FP32', []), maxBatchSize: 0 }
    expect(decode(scalar, input('FP32', [], [1.5])).inputs[0]).toMatchObject({
      shape: [],
      data: Float32Array.of(1.5),
    })
  })

  test('leaves parameters that begin with triton_ alone', () => {
    const body = { ...input('FP32', [1, 2], [1, 2]), parameters: { triton_enable_empty_final_response: true } }
    expect(decode(identity('FP32'), body)).toMatchObject({ rows: 1 })
  })

  test('takes no list of outputs and an empty one as all, and none twice', () => {
    const asked = (outputs: unknown) =>
      decode(identity('FP32'), { ...input('FP32', [1, 2], [1, 2]), outputs }).outputs.map(({ name }) => name)
    expect([asked(undefined), asked([])]).toEqual([['y'], ['y']])
    expect(() => asked([{ name: 'y' }, { name: 'y' }])).toThrow(refused(/"y"/))
  })

  test.each(['BYTES', 'FP16', 'BOOL'] as const)('refuses classes of an output that is %s', (datatype) => {
    const outputs = [{ name: 'y', parameters: { classification: 1 } }]
    const model = { ...identity('FP32'), outputs: identity(datatype).outputs }
    expect(() => decode(model, { ...input('FP32', [1, 2], [1, 2]), outputs })).toThrow(refused(/"y"/))
  })

  test('names an extra input, and lists every fault', () => {
    const body = {
      inputs: [
        { name: 'z', datatype: 'FP32', shape: [1], data: [1] },
        { name: 'x', datatype: 'FP32', shape: [1], data: [1] },
      ],
    }
    try {
      decode(identity('FP32'), body)
      expect.unreachable()
    } catch (thrown) {
      expect(isPlimsollError(thrown) && thrown.details.faults).toMatchObject([
        { detail: expect.stringContaining('"z"') },
        { detail: expect.stringContaining('shape') },
      ])
    }
  })

  test('keeps the digits of 64-bit integers', () => {
    const request = decode(
      identity('INT64'),
      '{"inputs":[{"name":"x","datatype":"INT64","shape":[1,2],"data":[9007199254740993,-9223372036854775808]}]}',
    )
    expect(back(request).body.toString()).toContain('"data":[9007199254740993,-9223372036854775808]')
    expect(() =>
      decode(
        identity('INT64'),
        '{"inputs":[{"name":"x","datatype":"INT64","shape":[1,2],"data":[9223372036854775808,1]}]}',
      ),
    ).toThrow(refused(/takes integers/))
  })

  test.each([
    ['UINT8', 256],
    ['INT8', -129],
    ['INT32', 1.5],
    ['UINT32', -1],
    ['BOOL', 2],
    ['UINT64', -1],
  ] as const)('refuses %s %s', (datatype, value) => {
    expect(() => decode(identity(datatype), input(datatype, [1, 2], [value, 1]))).toThrow(refused(/takes/))
  })

  test('takes bare NaN and Infinity outside strings and null for NaN, answers null', () => {
    const request = decode(
      identity('FP32'),
      '{"id":"NaN \\" Infinity","inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[NaN,null]}]}',
    )
    expect(request.id).toBe('NaN " Infinity')
    expect(request.inputs[0]?.data).toEqual(Float32Array.of(Number.NaN, Number.NaN))
    expect(JSON.parse(back(request).body.toString())).toMatchObject({ outputs: [{ data: [null, null] }] })
    const infinite = decode(
      identity('FP32'),
      '{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[-Infinity,1]}]}',
    )
    expect(JSON.parse(back(infinite).body.toString())).toMatchObject({
      parameters: { nonfinite: true },
      outputs: [{ data: [null, 1] }],
    })
  })

  test.each(['"4"', -4, 4.5, null, true])('refuses the binary_data_size %s, which is no number of bytes', (size) => {
    const parameters = { binary_data_size: typeof size === 'string' ? JSON.parse(size) : size }
    const body = { inputs: [{ name: 'x', datatype: 'BYTES', shape: [1], parameters }] }
    const detail =
      size === null ? /needs exactly one|binary_data_size/ : /binary_data_size .*, it is a whole number ≥ 0/
    expect(() => decode({ ...identity('BYTES', [1]), maxBatchSize: 0 }, body, Buffer.alloc(8))).toThrow(refused(detail))
  })

  test('refuses U+0000 in a text, which the runtime would cut there', () => {
    const model = { ...identity('BYTES', [1]), maxBatchSize: 0 }
    const detail = /string with the character U\+0000/
    expect(() => decode(model, input('BYTES', [1], ['a\0b']))).toThrow(refused(detail))
    const body = {
      inputs: [{ name: 'x', datatype: 'BYTES', shape: [1], parameters: { binary_data_size: 7 } }],
    }
    expect(() => decode(model, body, Buffer.from('\x03\0\0\0a\0b', 'latin1'))).toThrow(refused(detail))
    expect(() => decode(model, '', Buffer.from('a\0b'), '0')).toThrow(refused(detail))
  })

  test.each([
    ['as a datatype', '{"inputs":[{"name":"x","datatype":12345678901234567890,"shape":[1,2],"data":[1,2]}]}'],
    [
      'within an element',
      '{"inputs":[{"name":"x","datatype":"INT64","shape":[1,2],"data":[{"a":12345678901234567890},2]}]}',
    ],
  ])('refuses a long integer %s', (_, body) => {
    expect(() => decode(identity('INT64'), body)).toThrow(refused(/12345678901234567890/))
  })

  test('takes NaN beside a text of twenty million characters', () => {
    const tensor = '{"name":"x","datatype":"FP32","shape":[1,2],"data":[NaN,1]}'
    const body = `{"parameters":{"note":"\\n${'a'.repeat(20_000_000)}"},"inputs":[${tensor}]}`
    expect(decode(identity('FP32'), body).inputs[0]?.data).toEqual(Float32Array.of(Number.NaN, 1))
  })

  test('takes FP16 as binary only', () => {
    expect(() => decode(identity('FP16'), input('FP16', [1, 2], [1, 2]))).toThrow(refused(/binary/))
    const body = {
      inputs: [{ name: 'x', datatype: 'FP16', shape: [1, 2], parameters: { binary_data_size: 4 } }],
      parameters: { binary_data_output: true },
    }
    expect(back(decode(identity('FP16'), body, Buffer.from([0, 0x3c, 0, 0x40]))).body.subarray(-4)).toEqual(
      Buffer.from([0, 0x3c, 0, 0x40]),
    )
  })

  test('round-trips BYTES in binary: é and the empty string are 10 bytes', () => {
    const bytes = Buffer.from('02000000c3a900000000', 'hex')
    const body = {
      inputs: [{ name: 'x', datatype: 'BYTES', shape: [1, 2], parameters: { binary_data_size: 10 } }],
      outputs: [{ name: 'y', parameters: { binary_data: true } }],
    }
    const request = decode(identity('BYTES'), body, bytes)
    expect(request.inputs[0]?.data).toEqual(['é', ''])
    const response = back(request)
    expect(response).toMatchObject({ contentType: 'application/octet-stream' })
    expect(response.body.subarray(response.headerLength)).toEqual(bytes)
    expect(() => decode(identity('BYTES'), body, Buffer.from('ffffffffc3a900000000', 'hex'))).toThrow(
      refused(/within element 0/),
    )
  })

  test('refuses binary bodies one byte short or long, and bad header lengths', () => {
    const body = { inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2], parameters: { binary_data_size: 8 } }] }
    expect(() => decode(identity('FP32'), body, Buffer.alloc(7))).toThrow(refused(/7 bytes are left/))
    expect(() => decode(identity('FP32'), body, Buffer.alloc(9))).toThrow(refused(/unexpected additional input data/))
    for (const length of ['abc', '-1', '99999', '1e3', ''])
      expect(() => decode(identity('FP32'), body, Buffer.alloc(8), length)).toThrow(refused(/Header-Content-Length/))
  })

  test('takes a binary tensor of no bytes, and refuses a BOOL that is neither 0 nor 1', () => {
    const body = (datatype: Datatype, size: number, shape: number[]) => ({
      inputs: [{ name: 'x', datatype, shape, parameters: { binary_data_size: size } }],
    })
    const none = decode(identity('FP32', [-1, -1]), body('FP32', 0, [1, 0]), Buffer.alloc(0))
    expect(none.inputs[0]).toMatchObject({ shape: [1, 0] })
    expect(() => decode(identity('BOOL'), body('BOOL', 2, [1, 2]), Buffer.from([1, 2]))).toThrow(refused(/BOOL|"x"/))
    expect(decode(identity('BOOL'), body('BOOL', 2, [1, 2]), Buffer.from([1, 0]))).toMatchObject({ rows: 1 })
  })

  test('reads an unaligned binary tensor exactly', () => {
    for (const id of ['', 'a', 'ab', 'abc']) {
      const body = { id, inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2], parameters: { binary_data_size: 8 } }] }
      expect(decode(identity('FP32'), body, Buffer.from(Float32Array.of(1.5, -2).buffer)).inputs[0]?.data).toEqual(
        Float32Array.of(1.5, -2),
      )
    }
  })

  test('takes a raw body as the one input, one row, all outputs binary', () => {
    const model = identity('FP32', [-1, 4])
    const request = decodeInferRequest({
      model,
      body: Buffer.from(Float32Array.of(1, 2, 3, 4).buffer),
      headerLength: '0',
    })
    expect(request).toMatchObject({ rows: 1, inputs: [{ shape: [1, 4] }], outputs: [{ isBinary: true }] })
    expect(() => decodeInferRequest({ model, body: Buffer.alloc(15), headerLength: '0' })).toThrow(refused(/needs 16/))
  })

  test('never pollutes prototypes, refuses shared memory', () => {
    decode(
      identity('FP32'),
      '{"__proto__":{"polluted":1},"parameters":{"__proto__":1},"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[1,2]}]}',
    )
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
    const shared = {
      inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2], parameters: { shared_memory_region: 'r' } }],
    }
    expect(() => decode(identity('FP32'), shared)).toThrow(expect.objectContaining({ kind: 'unsupported' }))
  })

  test.each([
    ['inference.request_invalid', '[]'],
    ['inference.request_invalid', { inputs: [{ name: 'x', datatype: 'FP32', shape: [-1], data: [] }] }],
    ['inference.json_malformed', '{'],
    ['inference.json_malformed', '{"inputs":[],"inputs":[]}'],
    ['inference.json_too_deep', `{"a":${'['.repeat(65)}${']'.repeat(65)}}`],
    ['inference.feature_unsupported', { ...input('FP32', [1, 2], [1, 2]), parameters: { sequence_id: 1 } }],
    [
      'inference.rows_differ',
      {
        inputs: [
          { name: 'x', datatype: 'FP32', shape: [1, 2], data: [1, 2] },
          { name: 'y', datatype: 'FP32', shape: [2, 2], data: [1, 2, 3, 4] },
        ],
      },
    ],
  ])('refuses with %s', (code, body) => {
    const [x] = identity('FP32').inputs
    const model = { ...identity('FP32'), inputs: code === 'inference.rows_differ' ? [x!, { ...x!, name: 'y' }] : [x!] }
    expect(() => decode(model, body)).toThrow(expect.objectContaining({ code }))
  })

  test('throws nothing but house errors on anything', () => {
    const tensor = fc.record(
      {
        name: fc.constantFrom('x', 'z', 1),
        datatype: fc.constantFrom(...DATATYPES, 'BF16', null),
        shape: fc.anything(),
        data: fc.anything(),
        parameters: fc.anything(),
      },
      { requiredKeys: [] },
    )
    const body = fc.oneof(
      fc.json(),
      fc.anything().map((value) => JSON.stringify(value) ?? ''),
      fc
        .record(
          { id: fc.anything(), inputs: fc.array(tensor), outputs: fc.anything(), parameters: fc.anything() },
          { requiredKeys: [] },
        )
        .map((value) => {
          try {
            return JSON.stringify(value)
          } catch {
            return '{}'
          }
        }),
    )
    fc.assert(
      fc.property(
        fc.constantFrom(...DATATYPES),
        body,
        fc.uint8Array({ maxLength: 32 }),
        fc.option(fc.oneof(fc.string(), fc.nat(64).map(String)), { nil: undefined }),
        (datatype, text, tail, headerLength) => {
          try {
            const request = decodeInferRequest({
              model: identity(datatype),
              body: Buffer.concat([Buffer.from(text), tail]),
              headerLength,
            })
            back(request)
          } catch (thrown) {
            if (!isPlimsollError(thrown)) throw thrown
          }
        },
      ),
      { numRuns: 5000 },
    )
  })
})

describe('encodeInferResponse()', () => {
  const two: ModelInterface = {
    ...identity('FP32'),
    outputs: [
      { name: 'a', datatype: 'FP32', shape: [-1, 2] },
      { name: 'b', datatype: 'FP32', shape: [-1, 2] },
    ],
  }
  const outputs = ['a', 'b'].map(
    (name): Tensor => ({ name, datatype: 'FP32', shape: [1, 2], data: Float32Array.of(1, 2) }),
  )

  test('answers outputs in the requested order, all in model order otherwise', () => {
    const order = (wanted?: string[]) => {
      const request = decode(two, {
        ...input('FP32', [1, 2], [1, 2]),
        ...(wanted ? { outputs: wanted.map((name) => ({ name })) } : {}),
      })
      const { body } = encodeInferResponse({ modelName: 'r', request, maxBatchSize: 8, outputs })
      return JSON.parse(body.toString()).outputs.map((output: Tensor) => output.name)
    }
    expect(order(['b', 'a'])).toEqual(['b', 'a'])
    expect(order(['b'])).toEqual(['b'])
    expect(order()).toEqual(['a', 'b'])
  })

  test('echoes the id, and leaves it out when there was none', () => {
    expect(
      JSON.parse(back(decode(identity('FP32'), { ...input('FP32', [1, 2], [1, 2]), id: '42' })).body.toString()),
    ).toMatchObject({ id: '42', model_version: '3' })
    expect(
      JSON.parse(back(decode(identity('FP32'), input('FP32', [1, 2], [1, 2]))).body.toString()),
    ).not.toHaveProperty('id')
    expect(decode(identity('FP32'), { ...input('FP32', [1, 2], [1, 2]), id: null })).not.toHaveProperty('id')
  })

  test('throws where the model did not give an output that was asked for', () => {
    const request = decode(two, input('FP32', [1, 2], [1, 2]))
    const encode = () => encodeInferResponse({ modelName: 'r', request, maxBatchSize: 8, outputs: outputs.slice(1) })
    expect(encode).toThrow(expect.objectContaining({ code: 'inference.output_missing' }))
  })

  test('classifies as value:index[:label] with six decimals', () => {
    const request = { outputs: [{ name: 'a', isBinary: false, classification: 2 }] }
    const output: Tensor = { name: 'a', datatype: 'FP32', shape: [4], data: Float32Array.of(1.1, 3.3, 0.5, 2.4) }
    const { body } = encodeInferResponse({ modelName: 'r', request, maxBatchSize: 0, outputs: [output] })
    expect(JSON.parse(body.toString()).outputs).toEqual([
      { name: 'a', datatype: 'BYTES', shape: [2], data: ['3.300000:1', '2.400000:3'] },
    ])
    const labelled = encodeInferResponse({
      modelName: 'r',
      request,
      maxBatchSize: 0,
      outputs: [output],
      labels: new Map([['a', ['p', 'q']]]),
    })
    expect(labelled.body.toString()).toContain('3.300000:1:q')
  })

  test.each([
    [8, [3], [3, 1], ['2.000000:0', '5.000000:0', '1.000000:0']],
    [0, [3], [1], ['5.000000:1']],
    [8, [1, 3], [1, 1], ['5.000000:1']],
    [0, [1, 3], [1], ['5.000000:1']],
  ])('classifies by row where the model batches: at most %i, [%s]', (maxBatchSize, shape, expected, texts) => {
    const request = { outputs: [{ name: 'a', isBinary: false, classification: 1 }] }
    const output: Tensor = { name: 'a', datatype: 'FP32', shape, data: Float32Array.of(2, 5, 1) }
    const { body } = encodeInferResponse({ modelName: 'r', request, maxBatchSize, outputs: [output] })
    expect(JSON.parse(body.toString()).outputs).toEqual([
      { name: 'a', datatype: 'BYTES', shape: expected, data: texts },
    ])
  })
})

describe('expandBody()', () => {
  test('expands gzip, stops at the limit, refuses other codings and broken bytes', async () => {
    expect(Buffer.from(await expandBody(gzipSync('abc'), 'GZIP', 10)).toString()).toBe('abc')
    await expect(expandBody(gzipSync(Buffer.alloc(1 << 24)), 'gzip', 1 << 20)).rejects.toMatchObject({
      code: 'inference.body_too_large',
    })
    await expect(expandBody(Buffer.from('abc'), 'gzip', 10)).rejects.toMatchObject({
      code: 'inference.encoding_malformed',
    })
    await expect(expandBody(gzipSync('abc'), 'gzip, gzip', 10)).rejects.toMatchObject({ kind: 'media_type' })
  })

  test('chooseCoding() follows q-values', () => {
    expect(chooseCoding('gzip;q=0.5, deflate')).toBe('deflate')
    expect(chooseCoding('br, identity')).toBeUndefined()
    expect(chooseCoding('gzip;q=0')).toBeUndefined()
    expect(chooseCoding('gzip;q=0.5, identity;q=1')).toBeUndefined()
    expect(chooseCoding('identity, gzip')).toBe('gzip')
    expect(chooseCoding('identity;q=0, gzip;q=0.1')).toBe('gzip')
  })
})
