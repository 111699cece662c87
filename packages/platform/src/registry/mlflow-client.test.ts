import { readFileSync, writeFileSync } from 'node:fs'
import type { PassportBound } from '@plimsoll/sdk/wire'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { stripZipMap } from '../inference/index.ts'
import { identityModel, zipMapModel } from '../inference/onnx.fixture.ts'
import type { Digest } from '../kernel/digest.ts'
import { openPython, runPython } from '../tracking/python.fixture.ts'
import { openTestSurface, type TestSurface } from '../tracking/tracking.fixture.ts'
import {
  mlflowRegistryEndpoints,
  passportGaps,
  registerModelVersion,
  requireModelVersion,
  versionMount,
} from './index.ts'
import { boundOf } from './registry.fixture.ts'

const PACKAGES = [
  'mlflow-skinny==3.17.2',
  'pandas==3.1.1',
  'onnx==1.23.2',
  'onnxruntime',
  'numpy',
  'scikit-learn==1.9.1',
]
const found = await openPython('mlflow-client-3.17.2', PACKAGES)
const python = 'python' in found ? found.python : ''
const clientTest = test.skipIf('reason' in found)
const why = 'reason' in found ? ` (left out: ${found.reason})` : ''

let surface: TestSurface
beforeAll(async () => {
  surface = await openTestSurface((blobs) => mlflowRegistryEndpoints({ blobs }), { mounts: [versionMount] })
})
afterAll(() => surface.close())

const environment = () => ({
  MLFLOW_TRACKING_URI: surface.url,
  MLFLOW_HTTP_REQUEST_MAX_RETRIES: '0',
  MLFLOW_DISABLE_TELEMETRY: 'true',
  DO_NOT_TRACK: 'true',
  PYTHONWARNINGS: 'ignore',
})

const WHOLE = `
import math, mlflow, mlflow.onnx, onnx
from onnx import helper, TensorProto
experiment = mlflow.set_experiment('demo')
assert mlflow.set_experiment('demo').experiment_id == experiment.experiment_id
x = helper.make_tensor_value_info('x', TensorProto.FLOAT, [None, 2])
y = helper.make_tensor_value_info('y', TensorProto.FLOAT, [None, 2])
graph = helper.make_graph([helper.make_node('Identity', ['x'], ['y'])], 'g', [x], [y])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=9)
with mlflow.start_run(run_name='first', tags={'a': 'b'}) as run:
    mlflow.log_params({'x': 1, 'y': 'z'})
    mlflow.log_param('p', 2)
    for step in range(5):
        mlflow.log_metric('loss', 1 / (step + 1), step=step)
    mlflow.log_metric('nan', float('nan'))
    mlflow.log_metrics({'auc': 0.75, 'inf': float('inf')}, step=2**53 + 1)
    mlflow.set_tags({'k': 'v', 'mlflow.note.content': 'a note'})
    mlflow.log_text('hello', 'd/t.txt')
    mlflow.log_text('decomposed', 'e\\u0301/aux.py')
    mlflow.log_param('long', 'x' * 7000)
    mlflow.log_dict({'a': 1}, 'd/x.json')
    info = mlflow.onnx.log_model(model, name='model', pip_requirements=['onnx'], registered_model_name='demo-model')
client = mlflow.MlflowClient()
stored = client.get_run(run.info.run_id)
assert stored.info.status == 'FINISHED' and stored.info.run_name == 'first', stored.info
assert stored.data.params == {'x': '1', 'y': 'z', 'p': '2', 'long': 'x' * 6000}, stored.data.params
assert stored.data.metrics['loss'] == 0.2 and math.isnan(stored.data.metrics['nan']) and stored.data.metrics['auc'] == 0.75
assert [m.step for m in client.get_metric_history(run.info.run_id, 'loss')] == [0, 1, 2, 3, 4]
assert client.get_metric_history(run.info.run_id, 'auc')[0].step == 2**53 + 1
assert sorted(f.path for f in client.list_artifacts(run.info.run_id, 'd')) == ['d/t.txt', 'd/x.json']
assert mlflow.artifacts.load_text(f'runs:/{run.info.run_id}/d/t.txt') == 'hello'
assert mlflow.artifacts.load_text(f'runs:/{run.info.run_id}/e\\u0301/aux.py') == 'decomposed'
table = mlflow.search_runs([experiment.experiment_id], filter_string="metrics.auc > 0.5 and params.x = '1'", order_by=['metrics.loss ASC'])
assert list(table['run_id']) == [run.info.run_id]
assert len(mlflow.search_runs([experiment.experiment_id], filter_string='params.absent IS NULL and tags.k IS NOT NULL')) == 1
assert client.get_model_version_by_alias('demo-model', 'latest').version == '1'
client.set_registered_model_alias('demo-model', 'best', '1')
assert client.get_model_version_by_alias('demo-model', 'best').aliases == ['best']
for uri in [info.model_uri, 'models:/demo-model/1', 'models:/demo-model@best']:
    assert mlflow.onnx.load_model(uri).graph.name == 'g', uri
assert [m.name for m in client.search_registered_models()] == ['demo-model']
client.set_model_version_tag('demo-model', '1', 'q', 'w')
assert client.search_model_versions("name = 'demo-model'")[0].tags['q'] == 'w'
try:
    client.set_registered_model_alias('demo-model', 'champion', '1')
    raise SystemExit('champion was set')
except mlflow.exceptions.MlflowException as refused:
    assert refused.error_code == 'PERMISSION_DENIED', refused
try:
    client.log_param(run.info.run_id, 'p', 3)
    raise SystemExit('a param was changed')
except mlflow.exceptions.MlflowException as refused:
    assert 'Changing param values is not allowed' in str(refused)
assert client.get_experiment_by_name('nobody') is None
mlflow.register_model(info.model_uri, 'demo-model')
copied = client.copy_model_version('models:/demo-model/1', 'demo-copy')
assert copied.source == 'models:/demo-model/1' and copied.tags['q'] == 'w', copied
assert mlflow.onnx.load_model('models:/demo-copy/1').graph.name == 'g'
client.delete_run(run.info.run_id)
client.restore_run(run.info.run_id)
print('DONE')
`

clientTest(`the unmodified client tracks, logs a model, registers it and loads it back${why}`, async () => {
  const output = await runPython(python, WHOLE, environment())
  expect(output).toContain('DONE')
  expect(output).not.toMatch(/warn/i)
  const version = await requireModelVersion(surface.database.ctx, { model: 'demo-model', version: 1 })
  expect(version).toMatchObject({
    artifact: expect.stringMatching(/^sha256:/),
    bound: { artifact: { format: 'onnx' }, metrics: { auc: 0.75 } },
  })
})

const STEP_MADE = `
import json, os, mlflow, mlflow.onnx, mlflow.pyfunc, numpy as np, pandas as pd
client = mlflow.MlflowClient()
client.set_registered_model_alias('made', 'best', '1')
folder = mlflow.artifacts.download_artifacts('models:/made/1')
assert sorted(os.listdir(folder)) == ['MLmodel', 'conda.yaml', 'model.onnx', 'python_env.yaml', 'registered_model_meta', 'requirements.txt'], os.listdir(folder)
one = mlflow.artifacts.download_artifacts('models:/made@best/model.onnx')
assert open(one, 'rb').read() == open(folder + '/model.onnx', 'rb').read()
assert mlflow.onnx.load_model('models:/made@best').graph.output[0].name == 'y'
model = mlflow.pyfunc.load_model('models:/made/1')
assert model.metadata.run_id == 'f' * 32, model.metadata
assert model.metadata.metadata == {'columns': ['distance', 'hour']}, model.metadata
assert model.metadata.signature.inputs.to_dict() == [{'type': 'tensor', 'tensor-spec': {'dtype': 'float32', 'shape': (-1, 2)}}]
rows = pd.DataFrame({'hour': [3.0, None], 'distance': [100.5, 2.0]})
for given in [rows[model.metadata.metadata['columns']].astype('float32'), np.array([[100.5, 3], [2, np.nan]], dtype=np.float32)]:
    assert np.array_equal(model.predict(given)['y'], [[100.5, 3], [2, np.nan]], equal_nan=True), model.predict(given)
assert mlflow.models.get_model_info('models:/made/2').metadata is None
copied = client.copy_model_version('models:/made/1', 'made-copy')
assert copied.source == 'models:/made/1', copied
client.delete_model_version('made', '2')
client.copy_model_version('models:/made-copy/1', 'made-again')
client.delete_registered_model('made-copy')
assert mlflow.onnx.load_model('models:/made-again/1').graph.output[0].name == 'y'
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
store = get_artifact_repository(client.get_model_version_download_uri('made', '1'))
for change in [lambda: store.log_artifact(folder + '/MLmodel'), lambda: store.delete_artifacts('MLmodel')]:
    try:
        change()
        raise SystemExit('a file of a version was changed')
    except Exception as refused:
        assert 'made by the server' in str(refused), refused
print('DONE')
`

/** A version of these bytes, as a step would have registered it. */
async function addBytes(model: string, bytes: Uint8Array, change: Partial<PassportBound>): Promise<Digest> {
  const stored = await surface.blobs.put(bytes)
  const digest = stored.digest as Digest // the store's own
  const bound = boundOf(model, { artifact: { digest, sizeBytes: stored.sizeBytes, format: 'onnx' }, ...change })
  await surface.database.ctx.transaction((tx) =>
    registerModelVersion(tx, { model, source: 'plimsoll:run_1/fit', bound }),
  )
  return digest
}

/** A version as a `register` step leaves it. */
async function addMade(word: string, columns?: string[]): Promise<Digest> {
  const tensor = { datatype: 'FP32', shape: [-1, 2] }
  const signature = {
    inputs: [{ name: 'x', ...tensor }],
    outputs: [{ name: 'y', ...tensor }],
    maxBatchSize: 0,
    ...(columns === undefined ? {} : { columns }),
  }
  const { environment, origin } = boundOf(word)
  return addBytes('made', identityModel(), {
    signature,
    environment: { ...environment!, interpreter: null },
    origin: { ...origin, trackedRun: 'f'.repeat(32) },
  })
}

function flipByte(path: string): void {
  const bytes = readFileSync(path)
  bytes[bytes.length >> 1]! ^= 1
  writeFileSync(path, bytes)
}

clientTest(`the unmodified client loads what a step registered, and cannot change it${why}`, async () => {
  await addMade('with columns', ['distance', 'hour'])
  const digest = await addMade('without')
  const output = await runPython(python, STEP_MADE, environment())
  expect(output).toContain('DONE')
  const warnings = output.split('\n').filter((line) => /WARN|ERROR/.test(line))
  expect(warnings.filter((line) => !line.includes('specified Python version'))).toEqual([]) // its passport has none

  const { artifact_uri: uri } = await surface.ok('GET', '/model-versions/get-download-uri?name=made&version=1')
  const at = `/api/2.0/mlflow-artifacts/artifacts/${uri.replace('mlflow-artifacts:/', '')}`
  const statusOf = async (path: string, workspace = 'default') =>
    (await surface.call('GET', path, undefined, { 'x-mlflow-workspace': workspace })).status
  expect(await statusOf(`${at}/MLmodel`)).toBe(200)
  for (const path of [at, `${at}/absent`, `${at}/MLmodel/deeper`, at.replace(/.$/, 'x')])
    expect(await statusOf(path), path).toBe(404)
  expect(await statusOf(`${at}/MLmodel`, 'another'), 'in a project that has no such version').toBe(404)
  const shown = await fetch(`${surface.url}/model-versions/get-artifact?name=made&version=1&path=MLmodel`)
  expect(await shown.json()).toMatchObject({ run_id: 'f'.repeat(32) })
  const { bound, passport } = await requireModelVersion(surface.database.ctx, { model: 'made', version: 1 })
  const again = { model: 'made-again', version: 1 }
  expect(await requireModelVersion(surface.database.ctx, again)).toMatchObject({ bound, passport, artifact: digest })
  expect(
    (await fetch(`${surface.url}/model-versions/get-artifact?name=made-again&version=1&path=MLmodel`)).status,
  ).toBe(200)

  flipByte(surface.blobs.localPath!(digest)!)
  const broken = runPython(
    python,
    "import mlflow; mlflow.artifacts.download_artifacts('models:/made/1')",
    environment(),
  )
  await expect(broken).rejects.toThrow()
})

const ZIP_MAPPED = `
import mlflow, mlflow.onnx, mlflow.pyfunc, numpy as np, onnx
from onnx import helper, TensorProto
x = helper.make_tensor_value_info('x', TensorProto.FLOAT, [None, 2])
label = helper.make_tensor_value_info('label', TensorProto.INT64, [None])
row = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
probabilities = helper.make_value_info('probabilities', helper.make_sequence_type_proto(row))
nodes = [
    helper.make_node('Softmax', ['x'], ['scores'], axis=1),
    helper.make_node('ArgMax', ['x'], ['label'], axis=1, keepdims=0),
    helper.make_node('ZipMap', ['scores'], ['probabilities'], domain='ai.onnx.ml', classlabels_int64s=[7, 9]),
]
graph = helper.make_graph(nodes, 'g', [x], [label, probabilities])
opsets = [helper.make_opsetid('', 17), helper.make_opsetid('ai.onnx.ml', 3)]
model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
with mlflow.start_run():
    mlflow.onnx.log_model(model, name='model', pip_requirements=['onnx'], registered_model_name='zip-mapped')
assert mlflow.onnx.load_model('models:/zip-mapped/1') == model
rows = np.array([[1, 2], [3, 0]], dtype=np.float32)
maps = mlflow.pyfunc.load_model('models:/zip-mapped/1').predict(rows)['probabilities']
assert [output.name for output in mlflow.onnx.load_model('models:/stripped/1').graph.output] == ['label', 'scores']
stripped = mlflow.pyfunc.load_model('models:/stripped/1')
assert stripped.metadata.metadata == {'labels': {'scores': ['7', '9']}}, stripped.metadata.metadata
scores = stripped.predict(rows)['scores']
assert np.array_equal(scores, [[map[7], map[9]] for map in maps]), (scores, maps)
print('DONE')
`

clientTest(`the client registers a ZipMap as it is, and loads what a step took it off${why}`, async () => {
  const stripped = stripZipMap(zipMapModel())
  await addBytes('stripped', stripped.bytes, {
    signature: {
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }],
      outputs: [
        { name: 'label', datatype: 'INT64', shape: [-1] },
        { name: 'scores', datatype: 'FP32', shape: [-1, 2], labels: [...stripped.labels] },
      ],
      maxBatchSize: 1024,
    },
    parents: [stripped.parent],
  })
  expect(await runPython(python, ZIP_MAPPED, environment())).toContain('DONE')
  const { ctx } = surface.database
  const key = { model: 'zip-mapped', version: 1 }
  const { bound } = await requireModelVersion(ctx, key)
  expect(bound).toMatchObject({ artifact: { format: 'onnx' }, signature: null, parents: [] })
  expect(await passportGaps(ctx, { ...key, environment: 'production' })).toContainEqual(
    expect.objectContaining({ field: 'signature', command: expect.stringContaining('register step for zip-mapped') }),
  )
})

const RESUMED = `
import mlflow, threading
with mlflow.start_run() as run:
    def write(worker):
        for i in range(20):
            mlflow.MlflowClient().log_metric(run.info.run_id, f'm{i % 4}', i, step=worker * 100 + i)
        mlflow.MlflowClient().log_param(run.info.run_id, f'p{worker}', worker)
    threads = [threading.Thread(target=write, args=(w,)) for w in range(10)]
    [t.start() for t in threads]
    [t.join() for t in threads]
client = mlflow.MlflowClient()
assert sum(len(client.get_metric_history(run.info.run_id, f'm{k}')) for k in range(4)) == 200
assert len(client.get_run(run.info.run_id).data.params) == 10
print('DONE')
`

clientTest(`ten threads of a step resume the run that was made for it${why}`, async () => {
  const run = (await surface.ok('POST', '/runs/create', { experiment_id: '0' })).run.info.run_id
  surface.become({ kind: 'run', id: `run:${run}` })
  try {
    expect(await runPython(python, RESUMED, { ...environment(), MLFLOW_RUN_ID: run })).toContain('DONE')
  } finally {
    surface.become({})
  }
})

const AUTOLOGGED = `
import mlflow, mlflow.sklearn
import numpy as np, pandas as pd
from sklearn.linear_model import LogisticRegression
mlflow.set_experiment('autologged')
mlflow.sklearn.autolog(registered_model_name='auto-model')
x = pd.DataFrame(np.random.default_rng(7).normal(size=(200, 3)), columns=['a', 'b', 'c'])
y = (x['a'] + x['b'] > 0).astype(int)
with mlflow.start_run() as run:
    LogisticRegression(C=0.5).fit(x, y)
mlflow.flush_async_logging()
client = mlflow.MlflowClient()
stored = client.get_run(run.info.run_id)
assert stored.info.status == 'FINISHED', stored.info
assert stored.data.params['C'] == '0.5' and stored.data.params['max_iter'] == '100', stored.data.params
assert stored.data.metrics['training_accuracy_score'] > 0.9, stored.data.metrics
assert stored.data.tags['estimator_name'] == 'LogisticRegression', stored.data.tags
assert len(stored.inputs.dataset_inputs) == 1, stored.inputs
(logged,) = stored.outputs.model_outputs
(version,) = client.search_model_versions("name = 'auto-model'")
assert version.run_id == run.info.run_id and version.source == f'models:/{logged.model_id}', version
# The server notes the version on the logged model; the client adds it again, as text.
assert '{"name": "auto-model", "version": 1}' in client.get_logged_model(logged.model_id).tags['mlflow.modelVersions']
assert mlflow.models.get_model_info('models:/auto-model/1').signature.inputs.input_names() == ['a', 'b', 'c']
found = mlflow.search_logged_models([run.info.experiment_id])
assert list(found['model_id']) == [logged.model_id], found
print('DONE')
`

clientTest(`autolog of scikit-learn tracks a fit, its data and its model, and registers it${why}`, async () => {
  const output = await runPython(python, AUTOLOGGED, environment())
  expect(output).toContain('DONE')
  const warnings = output.split('\n').filter((line) => /WARN|ERROR/.test(line))
  expect(warnings.filter((line) => !/pickle|matplotlib/.test(line))).toEqual([])
  const version = await requireModelVersion(surface.database.ctx, { model: 'auto-model', version: 1 })
  expect(version.bound.artifact).not.toMatchObject({ format: 'onnx' })
})
