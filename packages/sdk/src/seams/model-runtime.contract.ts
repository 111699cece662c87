import assert from 'node:assert/strict'
import type { ModelRuntime, RuntimeTensor } from './model-runtime.ts'

/** What a runner gives: a fresh runtime and two models in a format that it takes. */
export interface ModelRuntimeCase {
  readonly runtime: ModelRuntime
  /** `y = x` on FP32 of shape [-1, 2]; input `x`, output `y`. */
  readonly identity: { digest: string; bytes: Uint8Array }
  /** `sum = a + b` and `difference = a - b` on FP32 of shape [-1, 2]. */
  readonly arithmetic: { digest: string; bytes: Uint8Array }
}

type Open = () => Promise<ModelRuntimeCase>

const fp32 = (name: string, shape: number[], values: number[]): RuntimeTensor => ({
  name,
  datatype: 'FP32',
  shape,
  data: Float32Array.from(values),
})

async function withCase(open: Open, body: (given: ModelRuntimeCase) => Promise<void>): Promise<void> {
  const given = await open()
  try {
    await body(given)
  } finally {
    await given.runtime.close()
  }
}

/** The contract of every model runtime; a runner loops over it. */
export const modelRuntimeContract: readonly { name: string; run(open: Open): Promise<void> }[] = [
  {
    name: 'load() reports digest, placement, inputs and outputs with −1 for what varies',
    run: (open) =>
      withCase(open, async ({ runtime, identity }) => {
        const session = await runtime.load(identity)
        assert.equal(session.digest, identity.digest)
        assert.equal(session.placement, runtime.capabilities.placement)
        assert.deepEqual(session.inputs, [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }])
        assert.deepEqual(session.outputs, [{ name: 'y', datatype: 'FP32', shape: [-1, 2] }])
      }),
  },
  {
    name: 'run() returns values and shape exactly, for no row, one row and many',
    run: (open) =>
      withCase(open, async ({ runtime, identity }) => {
        const session = await runtime.load(identity)
        for (const rows of [0, 1, 7, 1000]) {
          const values = Array.from({ length: rows * 2 }, (_, index) => index / 8 - 3)
          const [y] = await session.run([fp32('x', [rows, 2], values)], ['y'])
          assert.deepEqual(y?.shape, [rows, 2])
          assert.deepEqual(Array.from(y?.data as Float32Array), values)
        }
      }),
  },
  {
    name: 'run() keeps NaN, infinities and negative zero',
    run: (open) =>
      withCase(open, async ({ runtime, identity }) => {
        const session = await runtime.load(identity)
        const values = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0]
        const [y] = await session.run([fp32('x', [2, 2], values)], ['y'])
        assert.ok(values.every((value, index) => Object.is(value, (y?.data as Float32Array | undefined)?.[index])))
      }),
  },
  {
    name: 'run() takes inputs in any order and returns outputs in the asked order',
    run: (open) =>
      withCase(open, async ({ runtime, arithmetic }) => {
        const session = await runtime.load(arithmetic)
        const inputs = [fp32('b', [1, 2], [1, 2]), fp32('a', [1, 2], [10, 20])]
        const outputs = await session.run(inputs, ['difference', 'sum'])
        assert.deepEqual(
          outputs.map((output) => [output.name, Array.from(output.data as Float32Array)]),
          [
            ['difference', [9, 18]],
            ['sum', [11, 22]],
          ],
        )
        const [only] = await session.run(inputs, ['sum'])
        assert.equal(only?.name, 'sum')
      }),
  },
  {
    name: 'run() rejects a missing, unknown or wrongly typed input and an unknown output, and stays usable',
    run: (open) =>
      withCase(open, async ({ runtime, identity }) => {
        const session = await runtime.load(identity)
        const good = fp32('x', [1, 2], [1, 2])
        await assert.rejects(session.run([], ['y']))
        await assert.rejects(session.run([good, fp32('z', [1, 2], [1, 2])], ['y']))
        await assert.rejects(session.run([{ ...good, datatype: 'FP64', data: new Float64Array(2) }], ['y']))
        await assert.rejects(session.run([fp32('x', [2], [1, 2])], ['y']))
        await assert.rejects(session.run([good], ['nothing']))
        const [y] = await session.run([good], ['y'])
        assert.deepEqual(Array.from(y?.data as Float32Array), [1, 2])
      }),
  },
  {
    name: 'sessions of one runtime are independent; closing one leaves the other',
    run: (open) =>
      withCase(open, async ({ runtime, identity, arithmetic }) => {
        const first = await runtime.load(identity)
        const second = await runtime.load(arithmetic)
        await first.close()
        await first.close()
        await assert.rejects(first.run([fp32('x', [1, 2], [1, 2])], ['y']))
        const [sum] = await second.run([fp32('a', [1, 2], [1, 2]), fp32('b', [1, 2], [1, 2])], ['sum'])
        assert.deepEqual(Array.from(sum?.data as Float32Array), [2, 4])
      }),
  },
  {
    name: 'load() rejects empty, random and truncated bytes, and loads the next good model',
    run: (open) =>
      withCase(open, async ({ runtime, identity }) => {
        const noise = Uint8Array.from({ length: 4096 }, (_, index) => (index * 7919) % 251)
        for (const bytes of [new Uint8Array(0), noise, identity.bytes.subarray(0, identity.bytes.length - 9)]) {
          await assert.rejects(runtime.load({ digest: identity.digest, bytes }))
        }
        assert.equal((await runtime.load(identity)).inputs.length, 1)
      }),
  },
  {
    name: 'close() closes every session, and twice is free',
    run: (open) =>
      withCase(open, async ({ runtime, identity }) => {
        const session = await runtime.load(identity)
        await runtime.close()
        await runtime.close()
        await assert.rejects(session.run([fp32('x', [1, 2], [1, 2])], ['y']))
      }),
  },
]
