import { expect, test } from 'vitest'
import { splitBatch } from './batch.ts'
import type { Entry } from './request-queue.ts'
import type { ModelInterface, Tensor } from './tensor.ts'

const y = { name: 'y', datatype: 'FP32' as const, shape: [-1] }
const entry = { rows: 1, outputs: [0] } as unknown as Entry // what is looked at of a request
const gave = (rows: number): Tensor => ({ ...y, shape: [rows], data: new Float32Array(rows) })

test.each([
  ['more rows than the batch had', 8, [gave(3)], 'The model gave [3] of "y" for 2 rows'],
  [
    'more outputs than its runs were asked for',
    0,
    [gave(1), gave(1), gave(1)],
    'The model host gave 3 outputs for the 2',
  ],
])('splitBatch() gives nobody the rows of a model that gave %s', (_, maxBatchSize, outputs, message) => {
  const model: ModelInterface = { inputs: [], outputs: [y], maxBatchSize }
  expect(() => splitBatch(model, [entry, entry], outputs)).toThrow(
    expect.objectContaining({ code: 'inference.rows_lost', message: expect.stringContaining(message) }),
  )
})
