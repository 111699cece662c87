import { describe, expect, test } from 'vitest'
import { modelRuntimeContract } from '../../../../sdk/src/seams/model-runtime.contract.ts'
import { arithmeticModel, identityModel, zipMapModel } from '../../inference/onnx.fixture.ts'
import { digestBytes } from '../../kernel/digest.ts'
import { openOnnxRuntime } from './runtime.ts'

const given = (bytes: Uint8Array) => ({ bytes, digest: digestBytes(bytes) })

describe.each([{ hasArena: true }, { hasArena: false }])(
  'ONNX runtime keeps the model runtime contract, %o',
  (options) => {
    for (const { name, run } of modelRuntimeContract) {
      test(name, () =>
        run(async () => ({
          runtime: await openOnnxRuntime(options),
          identity: given(identityModel()),
          arithmetic: given(arithmeticModel()),
        })),
      )
    }
  },
)

test('openOnnxRuntime() carries every datatype unchanged', async () => {
  const runtime = await openOnnxRuntime()
  const cases = {
    FP16: Uint16Array.of(0x3c00, 0xc000),
    INT64: BigInt64Array.of(-(2n ** 63n), 2n ** 63n - 1n),
    UINT64: BigUint64Array.of(2n ** 64n - 1n, 0n),
    BYTES: ['é', ''],
    INT8: Int8Array.of(-128, 127),
    FP64: Float64Array.of(0.1, -0),
  } as const
  for (const [datatype, data] of Object.entries(cases)) {
    const session = await runtime.load(given(identityModel(datatype as keyof typeof cases))) // keys of the table above
    const tensor = { name: 'x', datatype: datatype as keyof typeof cases, shape: [1, 2], data: data as Float64Array }
    expect((await session.run([tensor], ['y']))[0]).toMatchObject({ datatype, shape: [1, 2], data })
  }
  await runtime.close()
})

test('a session names what is wrong with a run, and the runtime what it does not serve', async () => {
  const runtime = await openOnnxRuntime()
  const session = await runtime.load(given(identityModel()))
  const x = { name: 'x', datatype: 'FP32' as const, shape: [1, 2], data: Float32Array.of(1, 2) }
  await expect(session.run([], ['y'])).rejects.toMatchObject({ code: 'onnx.input_missing' })
  await expect(session.run([x, { ...x, name: 'z' }], ['y'])).rejects.toMatchObject({ code: 'onnx.input_unknown' })
  await expect(session.run([x], ['nothing'])).rejects.toMatchObject({ code: 'onnx.output_unknown' })
  await session.close()
  await expect(session.run([x], ['y'])).rejects.toMatchObject({ code: 'onnx.session_closed' })
  await expect(runtime.load(given(zipMapModel()))).rejects.toMatchObject({
    code: 'onnx.value_unsupported',
    message: expect.stringContaining('"probabilities" is a sequence or a map'),
    details: { action: expect.stringMatching(/options={'zipmap': False}.*register step/) },
  })
  await runtime.close()
})
