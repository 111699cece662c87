import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { inspectOnnx, tryModel } from '../packages/platform/src/inference/index.ts'
import { digestBytes } from '../packages/platform/src/kernel/digest.ts'
import { openPython, runPython } from '../packages/platform/src/tracking/python.fixture.ts'

const ROOT = resolve(import.meta.dirname, '..')
// As in the example's lock, where one version is for every Python.
const PACKAGES = ['numpy<3', 'onnx==1.23.2', 'scikit-learn==1.7.2', 'skl2onnx==1.20.0', 'protobuf==6.33.6']
const found = await openPython('guide-step', PACKAGES)
const folder = mkdtempSync(join(tmpdir(), 'plimsoll-guide-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** The training step as the guide prints it. */
function stepOfGuide(): string {
  const page = readFileSync(join(ROOT, 'docs/guide/pipelines.md'), 'utf8')
  const blocks = [...page.matchAll(/^```python\n(.*?)^```/gms)].map(([, text]) => text!)
  const [step] = blocks.filter((text) => text.includes('to_onnx'))
  return step!
}

test.skipIf('reason' in found)(
  `the guide's training step leaves an ONNX file that a model host runs, and its metrics${'reason' in found ? `: left out, ${found.reason}` : ''}`,
  async () => {
    const data = join(folder, 'numbers.csv')
    const rows = Array.from({ length: 200 }, (_, row) => `${row % 7},${row % 11},${row % 7 > 3 ? 1 : 0}`)
    writeFileSync(data, `a,b,label\n${rows.join('\n')}\n`)
    const outputs = { model: { path: join(folder, 'model.onnx') }, metrics: { path: join(folder, 'metrics.json') } }
    const inputs = { numbers: { type: 'dataset', digest: digestBytes('x'), path: data, files: [data] } }
    const names = { version: 1, run: 'run_1', step: 'fit', attempt: '1' }
    const files = { checkpoint_dir: folder, events: join(folder, 'events.jsonl') }
    const contract = join(folder, 'step.json')
    writeFileSync(contract, JSON.stringify({ ...names, ...files, params: { trees: 10 }, inputs, outputs }))
    await runPython('python' in found ? found.python : '', stepOfGuide(), {
      PLIMSOLL_STEP: contract,
      PYTHONPATH: join(ROOT, 'packages/platform/python'),
    })
    expect(JSON.parse(readFileSync(outputs.metrics.path, 'utf8'))).toEqual({ auc: 1, rows: 200 })
    const bytes = readFileSync(outputs.model.path)
    expect(inspectOnnx(bytes).metadata['columns']).toBe('["a", "b"]')
    const samples = [{ name: 'X', datatype: 'FP32' as const, shape: [2, 2], data: Float32Array.of(6, 1, 0, 1) }]
    const tried = await tryModel({ digest: digestBytes(bytes), path: outputs.model.path }, { samples })
    expect(tried.interface).toMatchObject({ inputs: [{ name: 'X', datatype: 'FP32', shape: [-1, 2] }] })
    expect(tried.outputs?.map(({ name, shape }) => [name, shape])).toEqual([
      ['label', [2]],
      ['probabilities', [2, 2]],
    ])
  },
  240_000,
)
