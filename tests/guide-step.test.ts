import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { tryModel } from '../packages/platform/src/inference/try-model.fixture.ts'
import { digestBytes } from '../packages/platform/src/kernel/digest.ts'
import { silentLog } from '../packages/platform/src/kernel/log.ts'
import { stepKinds } from '../packages/platform/src/registry/index.ts'
import { openPython, runPython } from '../packages/platform/src/tracking/python.fixture.ts'

const ROOT = resolve(import.meta.dirname, '..')
// As in the example's lock, where one version is for every Python.
const PACKAGES = ['duckdb<3', 'numpy<3', 'onnx==1.23.2', 'protobuf==6.33.6', 'scikit-learn==1.7.2', 'skl2onnx==1.20.0']
const found = await openPython('guide-step', PACKAGES)
const folder = mkdtempSync(join(tmpdir(), 'plimsoll-guide-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** A file as the guide prints it: its first line names it. */
function scriptOf(page: string, path: string): string {
  const text = readFileSync(join(ROOT, `docs/guide/${page}.md`), 'utf8')
  const blocks = [...text.matchAll(/^```(?:python|text)\n(.*?)^```/gms)].map(([, block]) => block!)
  return blocks.find((block) => block.startsWith(`# ${path}\n`))!
}

const python = 'python' in found ? found.python : ''
const why = 'reason' in found ? `: left out, ${found.reason}` : ''
const pythonTest = test.skipIf('reason' in found)

/** Runs the heavy part of a register step on a file, and answers with what it left. */
async function registered(path: string) {
  const bytes = readFileSync(path)
  const outputs = {
    signature: join(folder, 'signature.json'),
    metrics: join(folder, 'registered.json'),
    model: join(folder, 'registered.onnx'),
  }
  const register = stepKinds.find(({ kind }) => kind === 'register')!
  await register.command!({
    run: 'run_1',
    step: 'register',
    attempt: '1',
    spec: {},
    inputs: { model: { type: 'onnx', digest: digestBytes(bytes), path, files: [path] } },
    outputs,
    workDir: folder,
    engine: () => Promise.reject(new Error('no engine is needed')),
    log: silentLog,
    progress: () => {},
    signal: new AbortController().signal,
  })
  const model = readFileSync(outputs.model)
  return {
    signature: JSON.parse(readFileSync(outputs.signature, 'utf8')),
    model: { digest: digestBytes(model), path: outputs.model },
    isDerived: digestBytes(model) !== digestBytes(bytes),
  }
}

type StepInput = { type: string; digest: string; path: string; files: string[] }

/** Runs a training step of the guide as an attempt does, and answers with where it left its outputs. */
async function runStep(script: string, params: Record<string, unknown>, inputs: Record<string, StepInput>) {
  const outputs = { model: { path: join(folder, 'model.onnx') }, metrics: { path: join(folder, 'metrics.json') } }
  const names = { version: 1, run: 'run_1', step: 'fit', attempt: '1' }
  const files = { checkpoint_dir: folder, events: join(folder, 'events.jsonl') }
  const contract = join(folder, 'step.json')
  writeFileSync(contract, JSON.stringify({ ...names, ...files, params, inputs, outputs }))
  await runPython(python, script, {
    PLIMSOLL_STEP: contract,
    PYTHONPATH: join(ROOT, 'packages/platform/python'),
  })
  return outputs
}

test("the guide's requirements are the packages that its steps are tested with", () => {
  const nameOf = (line: string) => /^[\w-]+/.exec(line)?.[0]
  const lines = scriptOf('pipelines', 'steps/requirements.in').trim().split('\n').slice(1)
  expect(lines.map(nameOf)).toEqual(PACKAGES.map(nameOf))
})

pythonTest(
  `the guide's training step leaves an ONNX file that is registered without its maps, and its metrics${why}`,
  async () => {
    const data = join(folder, 'numbers.csv')
    writeFileSync(join(folder, 'numbers.py'), scriptOf('datasets', 'data/numbers.py'))
    execFileSync(python, [join(folder, 'numbers.py')])
    const numbers = { type: 'dataset', digest: digestBytes('x'), path: data, files: [data] }
    const outputs = await runStep(scriptOf('pipelines', 'steps/fit.py'), { trees: 10 }, { numbers })
    const { auc, rows } = JSON.parse(readFileSync(outputs.metrics.path, 'utf8'))
    expect(rows).toBe(500)
    expect(auc).toBeGreaterThan(0.8)
    const { signature, model, isDerived } = await registered(outputs.model.path)
    expect(isDerived).toBe(true)
    expect(signature).toMatchObject({
      inputs: [{ name: 'X', datatype: 'FP32', shape: [-1, 2] }],
      outputs: [
        { name: 'output_label' },
        { name: 'probabilities', datatype: 'FP32', shape: [-1, 2], labels: ['0', '1'] },
      ],
      columns: ['a', 'b'],
    })
    const samples = [{ name: 'X', datatype: 'FP32' as const, shape: [2, 2], data: Float32Array.of(6, 1, 0, 1) }]
    const tried = await tryModel(model, { samples })
    expect(tried.outputs?.map(({ name, shape }) => [name, shape])).toEqual([
      ['output_label', [2]],
      ['probabilities', [2, 2]],
    ])
  },
  240_000,
)

const TRAINING_SET = `
import duckdb
import random
random.seed(7)
rows = []
for number in range(400):
    origin = random.choice([0, 20])
    row = [random.randrange(600, 2500), random.gauss(origin, 5), random.gauss(origin, 3), random.gauss(9, 5), random.gauss(9, 3)]
    late = row[1] > 12
    rows.append([number] + [None if at > 0 and random.random() < 0.05 else one for at, one in enumerate(row)] + [int(late)])
table = duckdb.connect()
table.execute("create table s (date integer, distance integer, origin__newest double, origin__mean_3h double, destination__newest double, destination__mean_3h double, late integer)")
table.executemany("insert into s values (?, ?, ?, ?, ?, ?, ?)", rows)
table.execute("copy s to '%s/part-00000.parquet' (format parquet)" % FOLDER)
`

pythonTest(
  `the guide's step on a training set takes features that are null, and leaves a model that answers without them${why}`,
  async () => {
    await runPython(python, `FOLDER = ${JSON.stringify(folder)}\n${TRAINING_SET}`, {})
    const path = join(folder, 'part-00000.parquet')
    const set = { type: 'dataset', digest: digestBytes('x'), path, files: [path] }
    const outputs = await runStep(scriptOf('features', 'steps/delay.py'), {}, { set })
    const { auc, rows } = JSON.parse(readFileSync(outputs.metrics.path, 'utf8'))
    expect(rows).toBe(400)
    expect(auc).toBeGreaterThan(0.8)
    const { signature, model } = await registered(outputs.model.path)
    expect(signature).toMatchObject({ inputs: [{ datatype: 'FP32', shape: [-1, 5] }] })
    expect(signature.columns[0]).toBe('distance')
    const data = Float32Array.of(740, 20, 20, 9, 9, 740, Number.NaN, Number.NaN, Number.NaN, Number.NaN)
    const tried = await tryModel(model, { samples: [{ name: 'X', datatype: 'FP32', shape: [2, 5], data }] })
    const [, probabilities] = tried.outputs!
    expect(probabilities!.shape).toEqual([2, 2])
    expect([...(probabilities!.data as Float32Array)].every((one) => one >= 0 && one <= 1)).toBe(true) // FP32 by its signature
  },
  240_000,
)

const CLASSIFIERS = `
import json
import numpy
from skl2onnx import to_onnx
from sklearn.linear_model import LogisticRegression
from sklearn.multioutput import MultiOutputClassifier
x = numpy.random.default_rng(7).normal(size=(120, 3)).astype(numpy.float32)
words = numpy.array(['cancelled', 'late', 'on time'])[(x[:, 0] > 0).astype(int) + (x[:, 1] > 0)]
model = LogisticRegression().fit(x, words)
open(FOLDER + '/words.onnx', 'wb').write(to_onnx(model, x[:1]).SerializeToString())
json.dump(model.predict_proba(x[:2]).tolist(), open(FOLDER + '/words.json', 'w'))
json.dump(x[:2].tolist(), open(FOLDER + '/rows.json', 'w'))
several = MultiOutputClassifier(LogisticRegression()).fit(x, numpy.stack([x[:, 0] > 0, x[:, 1] > 0], axis=1).astype(int))
open(FOLDER + '/several.onnx', 'wb').write(to_onnx(several, x[:1]).SerializeToString())
`

pythonTest(
  `a classifier of texts gives what it gave where it was trained; one whose outputs stay sequences is refused${why}`,
  async () => {
    await runPython(python, `FOLDER = ${JSON.stringify(folder)}\n${CLASSIFIERS}`, {})
    const read = (name: string): number[][] => JSON.parse(readFileSync(join(folder, name), 'utf8'))
    const { signature, model } = await registered(join(folder, 'words.onnx'))
    expect(signature.outputs[1].labels).toEqual(['cancelled', 'late', 'on time'])
    const data = Float32Array.from(read('rows.json').flat())
    const { outputs } = await tryModel(model, { samples: [{ name: 'X', datatype: 'FP32', shape: [2, 3], data }] })
    const probabilities = [...(outputs![1]!.data as Float32Array)] // FP32 by its signature
    for (const [at, expected] of read('words.json').flat().entries()) expect(probabilities[at]).toBeCloseTo(expected, 5)
    await expect(registered(join(folder, 'several.onnx'))).rejects.toMatchObject({
      code: 'inference.onnx_refused',
      details: { action: expect.stringContaining('tensors') },
    })
  },
  240_000,
)
