import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { plantingPickle } from '../inference/pickle.fixture.ts'
import { presented } from '../kernel/auth/presented.fixture.ts'
import { goingAttempt, PIPELINE_DIGEST } from '../pipelines/going-attempt.fixture.ts'
import { openAttemptTokens } from '../pipelines/index.ts'
import { mlflowTrackingEndpoints } from '../tracking/index.ts'
import { openTestSurface, type TestSurface } from '../tracking/tracking.fixture.ts'
import { approve } from './approval.ts'
import { mlflowRegistryEndpoints, passportGaps, projectChampion, requireModelVersion } from './index.ts'

let surface: TestSurface
beforeAll(async () => {
  surface = await openTestSurface((blobs) => mlflowRegistryEndpoints({ blobs }))
})
beforeEach(() => surface.database.clear())
afterAll(() => surface.close())

const SOURCE = 'mlflow-artifacts:/models/foo///bar'
const model = (name = 'm', more: object = {}) => surface.ok('POST', '/registered-models/create', { name, ...more })
/** A version of a model that is made when it is not there. */
const version = async (name = 'm', more: object = {}) => {
  await surface.call('POST', '/registered-models/create', { name })
  return (await surface.ok('POST', '/model-versions/create', { name, source: SOURCE, ...more })).model_version
}
const found = async (filter: string, path = 'model-versions') =>
  (await surface.ok('GET', `/${path}/search?filter=${encodeURIComponent(filter)}`))[
    path === 'model-versions' ? 'model_versions' : 'registered_models'
  ]

test('registered-models/create answers with numbers, once per name', async () => {
  const { registered_model } = await model('m', { tags: [{ key: 'k', value: 'v' }] })
  expect(registered_model).toMatchObject({
    name: 'm',
    description: '',
    creation_timestamp: expect.any(Number),
    tags: [{ key: 'k', value: 'v' }],
  })
  const again = await surface.call('POST', '/registered-models/create', { name: 'm' })
  expect([again.status, again.json.error_code, again.json.message]).toEqual([
    400,
    'RESOURCE_ALREADY_EXISTS',
    'Registered Model (name=m) already exists.',
  ])
  expect((await surface.call('POST', '/registered-models/create', { name: '' })).status).toBe(400)
  expect((await surface.call('POST', '/registered-models/create', { name: 'a/b' })).status).toBe(400)
})

test('delete takes a body, and numbers go on when the name is used again', async () => {
  await model()
  await version()
  expect((await surface.call('DELETE', '/registered-models/delete', { name: 'm' })).json).toEqual({})
  const gone = await surface.call('GET', '/registered-models/get?name=m')
  expect([gone.status, gone.json.message]).toEqual([404, 'Registered Model with name=m not found'])
  expect((await surface.call('GET', '/model-versions/get?name=m&version=1')).status).toBe(404)
  await model()
  expect((await version()).version).toBe('2')
})

test.each([
  [SOURCE, {}, 200, undefined],
  ['mlflow-artifacts:/models/....//bar', {}, 200, undefined],
  ['s3://bucket/path', {}, 200, undefined],
  ['mlflow-artifacts:/models/..%2f..%2fa', {}, 400, 'If supplying a source as an http, https'],
  ['mlflow-artifacts:/models/%252e%252e/a', {}, 400, 'If supplying a source as an http, https'],
  ['mlflow-artifacts:/models/a%00', {}, 400, 'Invalid model version source'],
  ['/tmp', {}, 400, 'To use a local path as a model version'],
  ['file:///etc/passwd', {}, 400, 'To use a local path as a model version'],
  ['file://123.456.789.123/p', {}, 500, 'is not a valid remote uri'],
  ['runs:/0123/x', {}, 404, 'not found'],
  ['models:/m-00000000000000000000000000000000', {}, 404, 'not found'],
])('model-versions/create of %j %j answers %i', async (source, more, status, message) => {
  await model()
  const answer = await surface.call('POST', '/model-versions/create', { name: 'm', source, ...more })
  expect(answer.status).toBe(status)
  if (message === undefined)
    expect(answer.json.model_version).toMatchObject({ version: '1', status: 'READY', current_stage: 'None', source })
  else expect(answer.json.message).toContain(message)
})

test('model-versions/create refuses a model that is not there, and does not bring a deleted one back', async () => {
  const create = () => surface.call('POST', '/model-versions/create', { name: 'm', source: SOURCE })
  const refused = [404, 'RESOURCE_DOES_NOT_EXIST', 'Registered Model with name=m not found']
  const answered = async () => {
    const { status, json } = await create()
    return [status, json.error_code, json.message]
  }
  expect(await answered()).toEqual(refused)
  await model()
  await surface.ok('DELETE', '/registered-models/delete', { name: 'm' })
  expect(await answered()).toEqual(refused)
  expect((await surface.call('GET', '/registered-models/get?name=m')).status).toBe(404)
})

test('version numbers are never given twice', async () => {
  expect([(await version()).version, (await version()).version]).toEqual(['1', '2'])
  await surface.ok('DELETE', '/model-versions/delete', { name: 'm', version: '2' })
  expect((await version()).version).toBe('3')
  expect((await surface.call('GET', '/model-versions/get?name=m&version=2')).json.message).toBe(
    'Model Version (name=m, version=2) not found',
  )
})

test('the alias latest is read as the newest version, and not set', async () => {
  await model()
  const latest = (alias = 'latest') => surface.call('GET', `/registered-models/alias?name=m&alias=${alias}`)
  const none = await latest()
  expect([none.status, none.json]).toEqual([
    404,
    { error_code: 'RESOURCE_DOES_NOT_EXIST', message: 'Latest version not found for model m.' },
  ])
  for (let i = 0; i < 3; i++) await version()
  await surface.ok('DELETE', '/model-versions/delete', { name: 'm', version: '3' })
  for (const alias of ['latest', 'Latest'])
    expect((await latest(alias)).json.model_version).toMatchObject({ version: '2', aliases: [] })
  expect((await version('m', { source: 'models:/m@latest' })).version).toBe('4')
  const set = { name: 'm', alias: 'latest', version: '1' }
  expect((await surface.call('POST', '/registered-models/alias', set)).status).toBe(400)
})

test('an alias may have letters of any script', async () => {
  await version()
  await surface.ok('POST', '/registered-models/alias', { name: 'm', alias: 'прод-日本', version: '1' })
  const read = await surface.ok('GET', `/registered-models/alias?name=m&alias=${encodeURIComponent('прод-日本')}`)
  expect(read.model_version).toMatchObject({ version: '1', aliases: ['прод-日本'] })
})

test.each(['a?b', '../x', 'a\n'])('the tag key %j is refused for models and versions, as for runs', async (key) => {
  await version()
  for (const [path, at] of [
    ['/registered-models/set-tag', { name: 'm' }],
    ['/model-versions/set-tag', { name: 'm', version: '1' }],
  ] as const) {
    const refused = await surface.call('POST', path, { ...at, key, value: 'v' })
    expect([refused.status, refused.json.message]).toEqual([400, expect.stringContaining('Names may ')])
  }
})

test('aliases move, go with their version, and reserved ones are refused', async () => {
  await version()
  await version()
  const set = (alias: string, to = '1') =>
    surface.call('POST', '/registered-models/alias', { name: 'm', alias, version: to })
  expect([(await set('latest')).status, (await set('v3')).status, (await set('champ')).status]).toEqual([400, 400, 200])
  await set('champ', '2')
  expect((await surface.ok('GET', '/registered-models/alias?name=m&alias=champ')).model_version).toMatchObject({
    version: '2',
    aliases: ['champ'],
  })
  expect((await surface.ok('GET', '/model-versions/get?name=m&version=1')).model_version.aliases).toEqual([])
  await surface.ok('DELETE', '/model-versions/delete', { name: 'm', version: '2' })
  const unknown = await surface.call('GET', '/registered-models/alias?name=m&alias=champ')
  expect([unknown.status, unknown.json.error_code, unknown.json.message]).toEqual([
    400,
    'INVALID_PARAMETER_VALUE',
    'Registered model alias champ not found.',
  ])
  expect((await surface.call('DELETE', '/registered-models/alias', { name: 'm', alias: 'champ' })).json).toEqual({})
})

test('a bare client cannot set champion: it hears what is unmet; what serves cannot be deleted or renamed', async () => {
  await version()
  const refused = await surface.call('POST', '/registered-models/alias', { name: 'm', alias: 'champion', version: '1' })
  expect([refused.status, refused.json.error_code]).toEqual([403, 'PERMISSION_DENIED'])
  for (const gap of ['artifact', 'code.commit', 'data', 'environment.lock', 'signature', 'approvals'])
    expect(refused.json.message).toContain(gap)
  const alike = await surface.call('POST', '/registered-models/alias', { name: 'm', alias: 'Champion', version: '1' })
  expect([alike.status, alike.json.error_code]).toEqual([403, 'PERMISSION_DENIED'])
  await surface.database.ctx.transaction((tx) =>
    projectChampion(tx, { model: 'm', version: 1, environment: 'production' }),
  )
  expect((await surface.ok('GET', '/registered-models/alias?name=m&alias=champion')).model_version.version).toBe('1')
  expect((await surface.call('DELETE', '/model-versions/delete', { name: 'm', version: '1' })).status).toBe(400)
  expect((await surface.call('DELETE', '/registered-models/delete', { name: 'm' })).status).toBe(400)
  expect((await surface.call('POST', '/registered-models/rename', { name: 'm', new_name: 'n' })).status).toBe(400)
})

test('rename carries versions, tags and aliases along', async () => {
  await version('m', { tags: [{ key: 'k', value: 'v' }] })
  await surface.ok('POST', '/registered-models/alias', { name: 'm', alias: 'a', version: '1' })
  await surface.ok('POST', '/registered-models/rename', { name: 'm', new_name: 'n' })
  expect((await surface.call('GET', '/registered-models/get?name=m')).status).toBe(404)
  const { registered_model } = await surface.ok('GET', '/registered-models/get?name=n')
  expect(registered_model.aliases).toEqual([{ alias: 'a', version: '1' }])
  expect((await surface.ok('GET', '/model-versions/get?name=n&version=1')).model_version.tags).toContainEqual({
    key: 'k',
    value: 'v',
  })
})

const transition = (to: string, stage: string, archive = false) =>
  surface.call('POST', '/model-versions/transition-stage', {
    name: 'm',
    version: to,
    stage,
    archive_existing_versions: archive,
  })
const stageOf = async (number: number) =>
  (await surface.ok('GET', `/model-versions/get?name=m&version=${number}`)).model_version.current_stage
const serve = (number: number | null) =>
  surface.database.ctx.transaction((tx) =>
    projectChampion(tx, { model: 'm', version: number, environment: 'production' }),
  )
const latest = async (stage: string) =>
  (await surface.ok('GET', `/registered-models/get-latest-versions?name=m&stages=${stage}`)).model_versions.map(
    (one: { version: string }) => one.version,
  )

test('stages are labels, folded in and canonical out', async () => {
  for (let i = 0; i < 3; i++) await version()
  expect((await transition('1', 'staging')).json.model_version.current_stage).toBe('Staging')
  await transition('2', 'STAGING', true)
  expect(await stageOf(1)).toBe('Archived')
  expect([(await transition('3', 'None', true)).status, (await transition('3', 'Nope')).status]).toEqual([400, 400])
  for (const [method, body] of [
    ['POST', { name: 'm', stages: ['staging'] }],
    ['GET', undefined],
  ] as const) {
    const path = method === 'GET' ? '?name=m&stages=Staging' : ''
    const { model_versions } = await surface.ok(method, `/registered-models/get-latest-versions${path}`, body)
    expect(model_versions.map((one: { version: string }) => one.version)).toEqual(['2'])
  }
})

test('stage Production is what serves: it is read from the champion, and no client sets it', async () => {
  for (let i = 0; i < 3; i++) await version()
  for (const stage of ['Production', 'production', 'PRODUCTION']) {
    const refused = await transition('2', stage, true)
    expect([refused.status, surface.refusedWith()]).toEqual([403, 'registry.stage_protected'])
    for (const part of ['plimsoll release', 'signature', 'approvals']) expect(refused.json.message).toContain(part)
  }
  expect(await latest('Production')).toEqual([])
  await serve(1)
  await transition('2', 'Staging')
  expect([await stageOf(1), await latest('Production')]).toEqual(['Production', ['1']])
  expect((await transition('3', 'Production', true)).status).toBe(403)
  expect((await transition('1', 'production', true)).json.model_version.current_stage).toBe('Production')
  expect((await transition('1', 'Archived')).status).toBe(403)
  expect([await stageOf(1), await stageOf(2), await stageOf(3)]).toEqual(['Production', 'Staging', 'None'])
  await serve(3)
  expect([await latest('Production'), await stageOf(1)]).toEqual([['3'], 'None'])
  const { registered_model } = await surface.ok('GET', '/registered-models/get?name=m')
  expect(registered_model.latest_versions.map((one: { current_stage: string }) => one.current_stage).sort()).toEqual([
    'None',
    'Production',
    'Staging',
  ])
  await serve(null)
  expect(await latest('Production')).toEqual([])
})

test('a label Production from before says nothing', async () => {
  await version()
  await surface.database.ctx.db.updateTable('model_version').set({ stage: 'Production' }).execute()
  expect([await stageOf(1), await latest('Production')]).toEqual(['None', []])
})

test('search: numbers are numeric, run ids come in lists, prompts only when asked for', async () => {
  const run = (await surface.ok('POST', '/runs/create', { experiment_id: '0' })).run.info.run_id
  await version('m')
  await version('m', { run_id: run })
  await version('p')
  await surface.ok('POST', '/registered-models/set-tag', { name: 'p', key: 'mlflow.prompt.is_prompt', value: 'true' })
  expect((await found("version_number > 1 and name='m'")).map((one: { version: string }) => one.version)).toEqual(['2'])
  expect((await found(`run_id IN ('${run}')`)).map((one: { run_id: string }) => one.run_id)).toEqual([run])
  const numbers = async (filter: string) =>
    (await found(`${filter} and name = 'm'`)).map((one: { version: string }) => one.version)
  expect(await numbers("version_number = '1'")).toEqual(['1'])
  expect(await numbers("run_id = ''")).toEqual(['1'])
  expect(await numbers(`run_id NOT IN ('${run}')`)).toEqual(['1'])
  expect(await numbers(`run_id != ''`)).toEqual(['2'])
  expect((await found("name IN ('m', 'n')")).length).toBe(2)
  expect((await found("name IN ('m', 'n')", 'registered-models')).length).toBe(1)
  expect((await found("name NOT IN ('m')", 'registered-models')).length).toBe(0)
  const worded = encodeURIComponent("version_number = 'one'")
  expect((await surface.call('GET', `/model-versions/search?filter=${worded}`)).status).toBe(400)
  expect((await found('', 'registered-models')).map((one: { name: string }) => one.name)).toEqual(['m'])
  expect(
    (await found("tags.`mlflow.prompt.is_prompt` = 'true'", 'registered-models')).map(
      (one: { name: string }) => one.name,
    ),
  ).toEqual(['p'])
  expect(
    (await found("name ilike 'M%' and tags.`mlflow.prompt.is_prompt` != 'true'", 'registered-models')).length,
  ).toBe(1)
  expect(
    (await surface.call('GET', `/model-versions/search?filter=${encodeURIComponent("name = 'm' OR 1=1")}`)).status,
  ).toBe(400)
})

test('search pages by keyset', async () => {
  for (let i = 0; i < 5; i++) await version()
  const seen: string[] = []
  let token = ''
  do {
    const page = await surface.ok(
      'GET',
      `/model-versions/search?max_results=2&order_by=${encodeURIComponent('version_number DESC')}${token && `&page_token=${token}`}`,
    )
    seen.push(...page.model_versions.map((one: { version: string }) => one.version))
    token = page.next_page_token ?? ''
  } while (token !== '')
  expect(seen).toEqual(['5', '4', '3', '2', '1'])
})

test('a version of a logged model binds its ONNX file and leaves a passport with gaps', async () => {
  const run = (await surface.ok('POST', '/runs/create', { experiment_id: '0' })).run.info.run_id
  await surface.ok('POST', '/runs/log-metric', { run_id: run, key: 'auc', value: 0.9, timestamp: 1 })
  const { model: logged } = await surface.ok('POST', '/logged-models', {
    experiment_id: '0',
    name: 'net',
    source_run_id: run,
  })
  const id = logged.info.model_id
  const root = `0/models/${id}/artifacts`
  for (const name of ['MLmodel', 'model.onnx'])
    await fetch(`${surface.url}/api/2.0/mlflow-artifacts/artifacts/${root}/${name}`, { method: 'PUT', body: name })
  const made = await version('m', { source: `models:/${id}`, model_id: id })
  expect(made).toMatchObject({ run_id: run, model_id: id })
  expect((await surface.ok('GET', `/logged-models/${id}`)).model.info.tags).toEqual([
    { key: 'mlflow.modelVersions', value: '[{"name": "m", "version": 1}]' },
  ])
  expect(await surface.ok('GET', '/model-versions/get-download-uri?name=m&version=1')).toEqual({
    artifact_uri: `mlflow-artifacts:/${root}`,
  })
  const stored = await requireModelVersion(surface.database.ctx, { model: 'm', version: 1 })
  const blob = await surface.blobs.put(Buffer.from('model.onnx'))
  expect(stored).toMatchObject({
    artifact: blob.digest,
    bound: { metrics: { auc: 0.9 }, artifact: { format: 'onnx' }, origin: { trackedRun: run } },
  })
  const gaps = await passportGaps(surface.database.ctx, { model: 'm', version: 1, environment: 'production' })
  expect(gaps.map((gap) => gap.field)).toEqual([
    'code.commit',
    'data',
    'environment.lock',
    'signature',
    'notes.owner',
    'notes.intendedUse',
    'notes.limitations',
    'approvals',
  ])
  expect(gaps.every((gap) => gap.command !== '')).toBe(true)
  expect((await version('m', { source: `runs:/${run}/net` })).version).toBe('2')
  expect((await surface.ok('GET', '/model-versions/get-download-uri?name=m&version=2')).artifact_uri).toBe(
    `mlflow-artifacts:/${root}`,
  )
  expect((await version('m', { source: 'models:/m/1' })).run_id).toBe(run)
  const file = await fetch(`${surface.url}/model-versions/get-artifact?name=m&version=1&path=MLmodel`)
  expect(await file.text()).toBe('MLmodel')
  expect(await (await fetch(`${surface.url}//model-versions/get-artifact?name=m&version=1&path=MLmodel`)).text()).toBe(
    'MLmodel',
  )
})

test('a pickled model is kept as it is, cannot be served, and nothing loads it', async () => {
  const canary = join(tmpdir(), `plimsoll-canary-${process.pid}`)
  const { model } = await surface.ok('POST', '/logged-models', { experiment_id: '0', name: 'net' })
  const source = `models:/${model.info.model_id}`
  const files = {
    MLmodel: 'flavors:\n  sklearn:\n    pickled_model: model.pkl\n    serialization_format: cloudpickle\n',
    'model.pkl': plantingPickle(canary),
  }
  for (const [name, body] of Object.entries(files)) {
    const path = `0/models/${model.info.model_id}/artifacts/${name}`
    await fetch(`${surface.url}/api/2.0/mlflow-artifacts/artifacts/${path}`, { method: 'PUT', body })
  }
  await version('m', { source, model_id: model.info.model_id })
  const file = await fetch(`${surface.url}/model-versions/get-artifact?name=m&version=1&path=model.pkl`)
  expect(Buffer.from(await file.arrayBuffer())).toEqual(files['model.pkl'])
  const gaps = await passportGaps(surface.database.ctx, { model: 'm', version: 1, environment: 'production' })
  expect(gaps.map((gap) => gap.field)).toContain('signature')
  expect((await requireModelVersion(surface.database.ctx, { model: 'm', version: 1 })).bound.artifact.format).toBe(
    'mlflow',
  )
  expect(existsSync(canary)).toBe(false)
})

/** Callers hold the token of an attempt that goes on, as the control plane reads it. */
const becomeAttempt = async () => {
  const attempt = await goingAttempt(surface.database.ctx, 7n)
  const { provider, tokenOf } = openAttemptTokens(surface.database.ctx, 'secret')
  const { principal } = (await provider.identify(presented(tokenOf(attempt))))!
  surface.become(principal)
  return { attempt, principal, run: principal.id.replace('run:', '') }
}

test('a step registers its model with the token of its attempt, and the passport names the step', async () => {
  const { attempt, principal, run } = await becomeAttempt()
  try {
    await surface.ok('POST', '/runs/log-metric', { run_id: run, key: 'auc', value: 0.9, timestamp: 1 })
    const { model: logged } = await surface.ok('POST', '/logged-models', {
      experiment_id: (await surface.ok('GET', `/runs/get?run_id=${run}`)).run.info.experiment_id,
      name: 'net',
      source_run_id: run,
    })
    const { artifact_uri: root, model_id: id } = logged.info
    const file = `${surface.url}/api/2.0/mlflow-artifacts/artifacts/${root.replace('mlflow-artifacts:/', '')}/model.onnx`
    expect((await fetch(file, { method: 'PUT', body: 'weights' })).status).toBe(200)
    await surface.ok('PATCH', `/logged-models/${id}`, { status: 'LOGGED_MODEL_READY' })
    expect(await version('m', { source: `models:/${id}`, model_id: id })).toMatchObject({ run_id: run, version: '1' })
  } finally {
    surface.become({})
  }
  expect(await requireModelVersion(surface.database.ctx, { model: 'm', version: 1 })).toMatchObject({
    createdBy: principal.id,
    artifact: (await surface.blobs.put(Buffer.from('weights'))).digest,
    bound: {
      metrics: { auc: 0.9 },
      code: { source: 'flights', commit: 'c0ffee' },
      origin: { pipeline: 'p', pipelineDigest: PIPELINE_DIGEST, run: attempt.run, step: 'fit', trackedRun: run },
    },
  })
  const rows = await surface.database.ctx.db.selectFrom('audit').select(['action', 'actor', 'proof']).execute()
  expect(rows).toContainEqual({ action: 'version.register', actor: principal.id, proof: 'attempt:7' })
})

test('the token of an attempt approves nothing, takes nothing away and sets no champion', async () => {
  const one = { name: 'm', version: '1' }
  await version()
  const { model: logged } = await surface.ok('POST', '/logged-models', { experiment_id: '0' })
  const { principal } = await becomeAttempt()
  try {
    for (const [code, method, path, body] of [
      ['registry.run_scope', 'DELETE', '/model-versions/delete', one],
      ['registry.run_scope', 'DELETE', '/registered-models/delete', { name: 'm' }],
      ['registry.run_scope', 'POST', '/registered-models/rename', { name: 'm', new_name: 'n' }],
      ['tracking.run_scope', 'DELETE', `/logged-models/${logged.info.model_id}`, undefined],
      ['registry.alias_protected', 'POST', '/registered-models/alias', { ...one, alias: 'champion' }],
      ['registry.stage_protected', 'POST', '/model-versions/transition-stage', { ...one, stage: 'Production' }],
    ] as const) {
      const { status } = await surface.call(method, path, body)
      expect([path, status, surface.refusedWith()]).toEqual([path, 403, code])
    }
  } finally {
    surface.become({})
  }
  const step = surface.database.ctx.as({ principal: { ...principal, role: 'editor' } })
  const key = { model: 'm', version: 1, environment: 'production', comment: '' }
  await expect(step.transaction((tx) => approve(tx, key))).rejects.toMatchObject({
    code: 'registry.named_principal_needed',
  })
  expect((await surface.ok('GET', '/model-versions/get?name=m&version=1')).model_version.aliases).toEqual([])
})

test('an approval needs a name, binds the digests and counts once', async () => {
  const key = { model: 'm', version: 1, environment: 'production' }
  await version()
  const { ctx } = surface.database
  const ada = ctx.as({ principal: { id: 'ada', kind: 'user', named: true, role: 'approver', proof: 'token:tok_1' } })
  await expect(ctx.transaction((tx) => approve(tx, { ...key, comment: '' }))).rejects.toMatchObject({
    code: 'registry.named_principal_needed',
  })
  await expect(ada.transaction((tx) => approve(tx, { ...key, comment: '' }))).rejects.toMatchObject({
    code: 'registry.nothing_to_approve',
  })
})

test('model-versions/create leaves out the tags of the platform, as a client that copies a version sends them', async () => {
  const { tags } = await version('m', { tags: [{ key: 'k', value: 'v' }] })
  const shown = tags.filter((tag: { key: string }) => tag.key.startsWith('plimsoll.'))
  expect(shown).not.toEqual([])
  const forged = [...tags, { key: 'plimsoll.artifact', value: 'forged' }]
  expect((await version('copy', { source: 'models:/m/1', tags: forged })).tags).toEqual([
    { key: 'k', value: 'v' },
    { key: 'plimsoll.passport', value: expect.stringMatching(/^sha256:/) },
  ])
})

/** A body as Python's client writes it: ASCII only. */
const escaped = (body: object) =>
  JSON.stringify(body).replaceAll(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)

test('descriptions and tags of 100,000 code points are kept, longer ones are refused', async () => {
  await version()
  const [whole, longer] = ['😀'.repeat(100_000), '😀'.repeat(100_001)]
  const [at, made] = [
    { name: 'm', version: '1' },
    { name: 'm', source: SOURCE },
  ]
  const [description, tag] = ['registry.description_too_long', 'registry.tag_too_long']
  for (const [code, method, path, of] of [
    [description, 'PATCH', '/registered-models/update', (text: string) => ({ name: 'm', description: text })],
    [description, 'PATCH', '/model-versions/update', (text: string) => ({ ...at, description: text })],
    [tag, 'POST', '/registered-models/set-tag', (value: string) => ({ name: 'm', key: 'k', value })],
    [tag, 'POST', '/model-versions/set-tag', (value: string) => ({ ...at, key: 'k', value })],
    [description, 'POST', '/model-versions/create', (text: string) => ({ ...made, description: text })],
  ] as const) {
    expect([path, (await surface.call(method, path, escaped(of(whole)))).status]).toEqual([path, 200])
    const refused = await surface.call(method, path, escaped(of(longer)))
    expect([path, refused.status, surface.refusedWith()]).toEqual([path, 400, code])
    expect(refused.json.message).toContain('exceeds the maximum length of 100000 characters')
  }
  expect((await surface.ok('GET', '/model-versions/get?name=m&version=2')).model_version.description).toBe(whole)
})

test.each<[string, number, string, object | undefined, RegExp]>([
  ['registry.bad_version', 400, '/model-versions/get?name=m&version=1.0', undefined, /must be an integer/],
  ['registry.bad_search', 400, '/model-versions/search?order_by=stage', undefined, /Invalid order_by key 'stage'/],
  [
    'registry.artifact_elsewhere',
    404,
    '/api/2.0/model-versions/get-artifact?name=m&version=1&path=f',
    undefined,
    /elsewhere/,
  ],
  ['registry.bad_name', 400, '/registered-models/rename', { name: 'm', new_name: ' ' }, /name cannot be empty/],
  ['registry.bad_stage', 400, '/model-versions/transition-stage', { name: 'm', version: '1', stage: 'x' }, /stage: x/],
  ['registry.bad_source', 400, '/model-versions/create', { name: 'm', source: 'file:///etc' }, /local path/],
])('refuses with %s: %i for %s', async (code, expected, path, body, message) => {
  await version('m', { source: 's3://elsewhere/m' })
  const { status, json } = await surface.call(body ? 'POST' : 'GET', path, body)
  expect([surface.refusedWith(), status, json]).toEqual([
    code,
    expected,
    { error_code: expect.any(String), message: expect.stringMatching(message) },
  ])
})

test('model-versions/create refuses a directory of more files than one version may bind', async () => {
  await sql`insert into tracking_artifact (project, path, digest, size_bytes)
    select 'default', 'many/' || n, 'sha256:' || repeat('0', 64), 1 from generate_series(1, 10001) as n`.execute(
    surface.database.ctx.db,
  )
  await model()
  const refused = await surface.call('POST', '/model-versions/create', { name: 'm', source: 'mlflow-artifacts:/many' })
  expect([surface.refusedWith(), refused.status, refused.json.message]).toEqual([
    'tracking.too_many_artifacts',
    400,
    'Cannot read the artifacts below many: more than 10000 files',
  ])
})

test('tags: reserved ones are refused, the rest set and removed', async () => {
  await version()
  const forged = { name: 'm', version: '1', key: 'plimsoll.artifact', value: 'x' }
  const refused = await surface.call('POST', '/model-versions/set-tag', forged)
  expect([refused.status, surface.refusedWith()]).toEqual([403, 'registry.tag_reserved'])
  await surface.ok('POST', '/model-versions/set-tag', { name: 'm', version: '1', key: 'k', value: '' })
  expect((await found("tags.k = ''")).length).toBe(1)
  await surface.ok('DELETE', '/model-versions/delete-tag', { name: 'm', version: '1', key: 'k' })
  expect((await found("tags.k = ''")).length).toBe(0)
})

test('each endpoint answers below /ajax-api what it answers below /api, byte for byte', async () => {
  const run = (await surface.ok('POST', '/runs/create', { experiment_id: '0' })).run.info.run_id
  await surface.ok('POST', '/runs/log-metric', { run_id: run, key: 'auc', value: 0.9, timestamp: 1 })
  const { model: logged } = await surface.ok('POST', '/logged-models', { experiment_id: '0', source_run_id: run })
  const id = logged.info.model_id
  const artifacts = '/api/2.0/mlflow-artifacts/artifacts/0'
  for (const root of [`${artifacts}/${run}`, `${artifacts}/models/${id}`])
    await fetch(`${surface.url}${root}/artifacts/f`, { method: 'PUT', body: 'bytes' })
  await version('m', { source: `models:/${id}`, model_id: id })
  await surface.ok('POST', '/registered-models/alias', { name: 'm', alias: 'a', version: '1' })
  const named = { name: 'm', version: '1', alias: 'a', experiment_id: '0', experiment_name: 'Default', run_id: run }
  const asked = { ...named, run_ids: run, metric_key: 'auc', path: 'f', artifact_file_path: 'f', max_results: '10' }
  const { blobs } = surface
  const wrong: string[] = []
  const all = [...mlflowTrackingEndpoints({ blobs }), ...mlflowRegistryEndpoints({ blobs })]
  for (const { method, path, access } of all.sort((a, b) => a.access.localeCompare(b.access))) {
    const below = path.startsWith('/v3') ? `3.0${path.slice('/v3'.length)}` : `2.0${path}`
    const target = below.replace('*', `0/${run}/artifacts/f`).replace(':model_id', id).replace(':key', 'k')
    const isList = path === '/mlflow-artifacts/artifacts'
    const query = { ...asked, ...(isList ? { path: `0/${run}/artifacts` } : {}) }
    const ask = (prefix: string) =>
      method === 'GET'
        ? surface.call(method, `${prefix}/${target}?${new URLSearchParams(query)}`)
        : surface.call(
            method,
            `${prefix}/${target}`,
            access === 'read' ? { ...named, experiment_ids: ['0'] } : { experiment_id: 'absent' },
          )
    const [api, ajax] = [await ask('/api'), await ask('/ajax-api')]
    // what is read is there, so that there is something to compare; what is written, and last, lacks what it needs
    const isKnown = access === 'read' ? api.status === 200 : api.json?.error_code !== 'ENDPOINT_NOT_FOUND'
    if (!isKnown || api.status !== ajax.status || api.text !== ajax.text)
      wrong.push(`${method} ${path}: ${api.status} ${api.text} and ${ajax.status} ${ajax.text}`)
  }
  expect(wrong).toEqual([])
})

test('every change of the registry leaves an audit row', async () => {
  await version()
  await surface.ok('PATCH', '/registered-models/update', { name: 'm', description: 'd' })
  await surface.ok('POST', '/registered-models/alias', { name: 'm', alias: 'a', version: '1' })
  await surface.ok('DELETE', '/registered-models/delete', { name: 'm' })
  const rows = await surface.database.ctx.db.selectFrom('audit').select('action').orderBy('seq').execute()
  const described = ['model.notes', 'model.describe']
  const deleted = ['model.notes', 'model.delete']
  const actions = ['model.create', 'version.register', ...described, 'alias.move', ...deleted]
  expect(rows.map(({ action }) => action)).toEqual(actions)
})
