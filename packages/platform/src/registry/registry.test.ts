import {
  type ModelVersionView,
  modelDefinition,
  type PassportBound,
  pipelineDefinition,
  pipelineStep,
} from '@plimsoll/sdk/wire'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { openTestDatabase, type TestDatabase } from '../kernel/db/database.fixture.ts'
import type { Context, Principal, Tx } from '../kernel/db/index.ts'
import { digestValue } from '../kernel/digest.ts'
import { openTestApi, type TestApi } from '../kernel/http/http.fixture.ts'
import { declarePipeline, requirePipeline } from '../pipelines/pipeline.ts'
import { startRun, startStep } from '../pipelines/run.ts'
import { listApprovals } from './approval.ts'
import {
  approvalsOf,
  approve,
  declareModel,
  deleteAlias,
  ensureModel,
  findModel,
  findModelVersion,
  holdVersion,
  listAliases,
  listModels,
  listModelVersions,
  moveAlias,
  notesOf,
  passportGaps,
  projectChampion,
  registerModelVersion,
  registryEndpoints,
  requireModel,
  requireModelVersion,
  undeclareModel,
  versionsOfArtifact,
} from './index.ts'
import { createModel, deleteModel, describeModel, renameModel } from './model-edit.ts'
import { addModel, addVersion, approveAs, auditOf, boundOf, digestOf, modelOf, person } from './registry.fixture.ts'
import { deleteVersion } from './version-edit.ts'

let database: TestDatabase
let ctx: Context
let api: TestApi
let caller: Principal
beforeAll(async () => {
  database = await openTestDatabase()
  ctx = database.ctx
  api = openTestApi(registryEndpoints({ environments: async () => ['staging'] }), () => ctx.as({ principal: caller }))
})
beforeEach(async () => {
  caller = person('ada')
  await database.clear()
})
afterAll(async () => {
  await api.close()
  await database.close()
})

const KEY = { model: 'delay', version: 1, environment: 'production' }
const eventTypes = async () => (await database.events()).map((event) => event.type)
const fieldsOf = async (environment = 'production') =>
  (await passportGaps(ctx, { ...KEY, environment })).map((gap) => gap.field)

test('declareModel() makes it so; repeating it is free, and versions that were there keep their numbers', async () => {
  await addVersion(ctx, 'delay', 'one')
  await addModel(ctx, modelOf('delay', { description: 'late flights' }))
  const before = await eventTypes()
  await addModel(ctx, modelOf('delay', { description: 'late flights' }))
  expect(await eventTypes()).toEqual(before)
  expect(await requireModel(ctx, 'delay')).toMatchObject({ description: 'late flights', lastVersion: 1 })
  await ctx.transaction((tx) => undeclareModel(tx, 'delay'))
  expect(await findModel(ctx, 'delay')).toMatchObject({ definition: null, lastVersion: 1 })
  expect((await auditOf(ctx)).map((row) => row.action)).toEqual([
    'model.create',
    'version.register',
    'model.declare',
    'model.notes',
    'model.undeclare',
    'model.notes',
  ])
  await expect(requireModel(ctx, 'absent')).rejects.toMatchObject({
    kind: 'not_found',
    code: 'registry.model_not_found',
  })
})

test('notes are kept each time that they change, by whom; what else of a definition changes is none of them', async () => {
  const read = async (model = 'delay') => {
    const { json } = await api.call('GET', `/api/v1/models/${model}/versions/1`)
    return json as ModelVersionView
  }
  const as = (by: string) => ctx.as({ principal: person(by, 'editor') })
  await addVersion(ctx, 'delay', 'one')
  expect(await read()).toMatchObject({ notes: { owner: null }, notesRevision: null })
  await addModel(as('bob'), modelOf('delay'))
  const { notes, passport, notesRevision: first } = await read()
  expect(first).toEqual({ revision: 1, digest: digestValue(notes), by: 'bob', at: expect.stringMatching(/Z$/) })
  await addModel(as('eve'), modelOf('delay', { approvals: { production: 2 } }))
  expect((await read()).notesRevision).toEqual(first)
  await addModel(as('eve'), modelOf('delay', { owner: 'eve' }))
  await describeModel(as('ada'), 'delay', 'late flights')
  expect(await read()).toMatchObject({ passport, notes: { owner: 'eve' }, notesRevision: { revision: 3, by: 'ada' } })
  await addModel(as('eve'), modelOf('delay'))
  expect((await read()).notesRevision).toMatchObject({ revision: 4, digest: first!.digest, by: 'eve' })
  const rows = await ctx.db.selectFrom('model_notes').selectAll().orderBy('revision').execute()
  expect(rows.map(({ notes, changed_by }) => [notes.owner, notes.description, changed_by])).toEqual([
    ['ops', '', 'bob'],
    ['eve', '', 'eve'],
    ['eve', 'late flights', 'ada'],
    ['ops', '', 'eve'],
  ])
  expect(rows.every(({ digest, notes }) => digest === digestValue(notes))).toBe(true)
  await ctx.as({ principal: person('bob') }).transaction((tx) => undeclareModel(tx, 'delay'))
  expect(await read()).toMatchObject({ notes: { owner: null }, notesRevision: { revision: 5, by: 'bob' } })
  const declared = (await auditOf(ctx)).filter((row) => row.action === 'model.declare').map((row) => row.data)
  expect(declared).toContainEqual({ digest: rows[0]!.definition_digest })
})

test('notes that say nothing are not kept, and nobody is named for what no row tells of', async () => {
  await addModel(ctx, modelDefinition.parse({ kind: 'model', name: 'delay' }))
  await addVersion(ctx, 'delay', 'one')
  const revisions = async () => (await ctx.db.selectFrom('model_notes').select('revision').execute()).length
  expect(await revisions()).toBe(0)
  await describeModel(ctx, 'delay', 'late flights')
  expect(await revisions()).toBe(1)
  await ctx.db.updateTable('registered_model').set({ description: 'early flights' }).execute()
  const { json } = await api.call('GET', '/api/v1/models/delay/versions/1')
  expect(json).toMatchObject({ notes: { description: 'early flights' }, notesRevision: null })
})

test('notes follow the name of their model, and end with it', async () => {
  await createModel(ctx.as({ principal: person('ada') }), { name: 'draft', description: 'to be named' })
  await renameModel(ctx, 'draft', 'delay')
  await addVersion(ctx, 'delay', 'one')
  const at = '/api/v1/models/delay/versions/1'
  expect((await api.call('GET', at)).json.notesRevision).toMatchObject({ revision: 1, by: 'ada' })
  await deleteModel(ctx, 'delay')
  await createModel(ctx, { name: 'delay', description: 'to be named' })
  const revisions = ctx.db.selectFrom('model_notes').select(['model', 'revision']).orderBy('revision')
  expect(await revisions.execute()).toEqual([1, 2, 3].map((revision) => ({ model: 'delay', revision })))
})

test('a declared model cannot be renamed or deleted under its project', async () => {
  await addModel(ctx, modelOf('delay'))
  const refused = { kind: 'precondition', code: 'registry.declared', details: { action: expect.any(String) } }
  await expect(deleteModel(ctx, 'delay')).rejects.toMatchObject(refused)
  await expect(renameModel(ctx, 'delay', 'other')).rejects.toMatchObject(refused)
})

test('registerModelVersion() counts up, never gives a number twice, and knows an equal passport again', async () => {
  expect(await addVersion(ctx, 'delay', 'one')).toBe(1)
  expect(await addVersion(ctx, 'delay', 'two')).toBe(2)
  const before = await eventTypes()
  const bound = boundOf('one')
  const register = (more: object = {}) =>
    ctx.transaction((tx) => registerModelVersion(tx, { model: 'delay', source: 's', bound, ...more }))
  expect(await register()).toEqual({ model: 'delay', version: 1, passport: digestValue(bound), isNew: false })
  expect(await eventTypes()).toEqual(before)
  expect(await register({ isAlwaysNew: true })).toMatchObject({ version: 3, isNew: true })
  await deleteVersion(ctx, { model: 'delay', version: 3 })
  await deleteVersion(ctx, { model: 'delay', version: 1 })
  expect(await register()).toMatchObject({ version: 4, isNew: true })
  const hollow = { bound: boundOf('x', { artifact: { digest: null, sizeBytes: 0, format: 'unknown' } }) }
  expect([(await register(hollow)).version, (await register(hollow)).version]).toEqual([5, 6])
})

test('registerModelVersion() is one transaction with its event and audit row', async () => {
  const broken = ctx.transaction(async (tx) => {
    await registerModelVersion(tx, { model: 'delay', source: 's', bound: boundOf('one') })
    throw new Error('after it')
  })
  await expect(broken).rejects.toThrow('after it')
  expect([await findModel(ctx, 'delay'), await database.events(), await auditOf(ctx)]).toEqual([undefined, [], []])
  await addVersion(ctx.as({ principal: caller }), 'delay', 'one')
  const passport = digestValue(boundOf('one'))
  expect((await database.events()).at(-1)).toEqual({
    type: 'registry.version_registered',
    subject: 'delay/1',
    data: { artifact: digestOf('one'), passport },
  })
  expect((await auditOf(ctx)).at(-1)).toMatchObject({ actor: 'ada', action: 'version.register', data: { passport } })
  expect(await requireModelVersion(ctx, KEY)).toMatchObject({ artifact: digestOf('one'), passport, createdBy: 'ada' })
})

test('versions registered at once get different numbers', async () => {
  await ctx.transaction((tx) => ensureModel(tx, 'delay'))
  const numbers = await Promise.all(['a', 'b', 'c'].map((word) => addVersion(ctx, 'delay', word)))
  expect(numbers.sort()).toEqual([1, 2, 3])
})

test('versions are read by number, page and artifact, and those of another project or deleted are not', async () => {
  for (const word of ['one', 'two', 'three']) await addVersion(ctx, 'delay', word)
  await addVersion(ctx, 'other', 'one', { metrics: { auc: 0.5 } })
  expect((await listModelVersions(ctx, 'delay', { before: 3, limit: 1 })).map((row) => row.version)).toEqual([2])
  expect((await versionsOfArtifact(ctx, digestOf('one'))).map((row) => row.model)).toEqual(['other', 'delay'])
  await deleteVersion(ctx, KEY)
  expect((await versionsOfArtifact(ctx, digestOf('one'))).map((row) => row.model)).toEqual(['other'])
  expect((await listModelVersions(ctx, 'delay', { limit: 10 })).map((row) => row.version)).toEqual([3, 2])
  await expect(requireModelVersion(ctx, KEY)).rejects.toMatchObject({
    kind: 'not_found',
    code: 'registry.version_not_found',
  })
  expect(await findModelVersion(ctx.as({ project: 'other' }), { model: 'delay', version: 2 })).toBeUndefined()
  expect((await listModels(ctx, { after: 'delay', limit: 10 })).map((model) => model.name)).toEqual(['other'])
})

test.each<[string, Partial<PassportBound>, string]>([
  ['artifact', { artifact: { digest: null, sizeBytes: 0, format: 'unknown' } }, 'register step for delay'],
  ['code.commit', { code: null }, 'git commit'],
  ['code.commit', { code: { source: 's', commit: null, isDirty: false, bundle: null } }, 'git commit'],
  ['code.dirty', { code: { source: 's', commit: 'c0ffee', isDirty: true, bundle: null } }, 'git commit'],
  ['data', { data: [] }, 'training data'],
  ['environment.lock', { environment: null }, 'a lock'],
  ['environment.lock', { environment: { lock: null, interpreter: null, platform: null } }, 'a lock'],
  ['signature', { signature: null }, 'register step'],
  ['metrics', { metrics: {} }, 'an output metrics of type json'],
])('passportGaps() names %s of %j with the command that fills it', async (field, change, command) => {
  await addModel(ctx, modelOf('delay', { approvals: { production: 0 } }))
  await addVersion(ctx, 'delay', 'one', change)
  const gaps = await passportGaps(ctx, KEY)
  expect(gaps.map((gap) => gap.field)).toEqual([field])
  expect(gaps[0]).toMatchObject({ detail: expect.any(String), command: expect.stringContaining(command) })
  const { pipeline } = boundOf('one').origin
  expect(gaps[0]!.command).toMatch(new RegExp(`, then plimsoll apply && plimsoll run start ${pipeline ?? 'PIPELINE'}$`))
})

test('what fills a gap gives the run the params again that are not the defaults now', async () => {
  const of = (type: string, value?: unknown) => ({ type, ...(value === undefined ? {} : { default: value }) })
  const declare = (tx: Tx, params: Record<string, unknown>) => {
    const steps = [{ key: 'fit', kind: 'command', params: { argv: ['true'] } }]
    const definition = pipelineDefinition.parse({ kind: 'pipeline', name: 'train', params, steps })
    const origin = { source: 's', commit: null, isDirty: false }
    return declarePipeline(tx, definition, { bundles: {}, origin, kinds: new Map(), blobs: undefined as never }) // no code to look for
  }
  const params = { trees: of('int', 100), depth: of('int', 3), note: of('text'), none: of('json'), old: of('int', 1) }
  const made = await ctx.transaction(async (tx) => {
    await declare(tx, params)
    const pipeline = await requirePipeline(tx, 'train')
    const options = { cache: true, force: [], forceFrom: [] }
    const { id: run } = await startRun(tx, { pipeline, params: { trees: 9, note: '5', none: null, old: 2 }, options })
    return { pipeline: 'train', pipelineDigest: pipeline.digest, run }
  })
  await addModel(ctx, modelOf('delay', { approvals: { production: 0 } }))
  await addVersion(ctx, 'delay', 'one', { code: null, origin: { ...boundOf('one').origin, ...made } })
  const flags = async () => (await passportGaps(ctx, KEY))[0]!.command.replace(/^.* run start train /, '')
  expect(await flags()).toBe(`--param old=2 --param none=null --param 'note="5"' --param trees=9`)
  const { old: _, ...kept } = params
  await ctx.transaction((tx) => declare(tx, { ...kept, depth: of('int', 8), trees: of('int', 9), region: of('text') }))
  expect(await flags()).toBe(`--param none=null --param 'note="5"' --param depth=3 --param region=VALUE`)
})

test('passportGaps() asks the notes and approvals of the definition, by environment', async () => {
  await addVersion(ctx, 'delay', 'one')
  expect(await fieldsOf()).toEqual(['notes.owner', 'notes.intendedUse', 'notes.limitations', 'approvals'])
  expect(await fieldsOf('staging')).toEqual(['notes.owner', 'notes.intendedUse', 'notes.limitations'])
  await addModel(ctx, modelOf('delay', { approvals: { staging: 2 } }))
  expect([await fieldsOf(), await fieldsOf('staging'), await fieldsOf('preview')]).toEqual([
    ['approvals'],
    ['approvals'],
    [],
  ])
  expect(await notesOf(ctx, 'delay')).toEqual({
    description: '',
    owner: 'ops',
    intendedUse: 'tells late flights',
    outOfScope: null,
    limitations: 'domestic flights only',
    licence: null,
    riskClass: null,
  })
  expect(await notesOf(ctx, 'absent')).toMatchObject({ description: '', owner: null })
  const [gap] = await passportGaps(ctx, KEY)
  expect(gap!.command).toBe('plimsoll approve delay 1 --environment production --token-file APPROVER.token')
  await approveAs(ctx, person('ada'), KEY)
  expect(await fieldsOf()).toEqual([])
})

test('approve() binds artifact and passport, once, with its event and audit row', async () => {
  await addVersion(ctx, 'delay', 'one')
  const { isNew, ...approval } = await approveAs(ctx, person('ada'), KEY)
  expect(isNew).toBe(true)
  expect(approval).toMatchObject({
    by: 'ada',
    proof: 'token:tok_ada',
    artifact: digestOf('one'),
    passport: digestValue(boundOf('one')),
    isSelfApproved: false,
    comment: 'looks right',
  })
  const [events, audit] = [await database.events(), await auditOf(ctx)]
  expect(events.at(-1)).toMatchObject({
    type: 'registry.version_approved',
    data: { by: 'ada', environment: 'production' },
  })
  expect(audit.at(-1)).toMatchObject({ actor: 'ada', action: 'version.approve', subject: 'delay/1' })
  expect(await approveAs(ctx, person('ada'), { ...KEY, comment: 'again' })).toEqual({ ...approval, isNew: false })
  expect([await database.events(), await auditOf(ctx)]).toEqual([events, audit])
  await approveAs(ctx, person('ben'), KEY)
  expect((await approvalsOf(ctx, KEY)).map((one) => one.by)).toEqual(['ada', 'ben'])
  expect(await approvalsOf(ctx, { ...KEY, environment: 'staging' })).toEqual([])
})

test('approve() leaves nothing behind when its transaction throws', async () => {
  await addVersion(ctx, 'delay', 'one')
  const events = await database.events()
  const broken = ctx.as({ principal: caller }).transaction(async (tx) => {
    await approve(tx, { ...KEY, comment: '' })
    throw new Error('after it')
  })
  await expect(broken).rejects.toThrow('after it')
  expect(await approvalsOf(ctx, KEY)).toEqual([])
  expect(await database.events()).toEqual(events)
})

test('approve() refuses a caller without a name, a version without an artifact, and one that is not there', async () => {
  const hollow = { artifact: { digest: null, sizeBytes: 0, format: 'unknown' } }
  await addVersion(ctx, 'delay', 'one', hollow)
  await expect(approveAs(ctx, { ...caller, named: false }, KEY)).rejects.toMatchObject({
    kind: 'forbidden',
    code: 'registry.named_principal_needed',
    details: { action: expect.stringMatching(/token create NAME --role approver .*--token-file NAME\.token/) },
  })
  await expect(approveAs(ctx, caller, KEY)).rejects.toMatchObject({ code: 'registry.nothing_to_approve' })
  await expect(approveAs(ctx, caller, { ...KEY, version: 2 })).rejects.toMatchObject({
    code: 'registry.version_not_found',
  })
})

test('an approval by who made the version, or started its run, is a self-approval', async () => {
  const step = pipelineStep.parse({ key: 'fit', kind: 'command', params: { argv: ['true'] } })
  const options = { cache: true, force: [], forceFrom: [] }
  const startRun = async (actor: string) => {
    const own = ctx.as({ principal: person(actor) })
    return (
      await own.transaction((tx) =>
        startStep(tx, { step, bundles: {}, options, kinds: new Map(), blobs: undefined as never }),
      )
    ).id
  }
  const originOf = (run: string) => ({ origin: { ...boundOf('x').origin, run, step: 'fit' } })
  await addVersion(ctx.as({ principal: caller }), 'delay', 'one')
  await addVersion(ctx, 'delay', 'two', originOf(await startRun('ben')))
  await addVersion(ctx, 'delay', 'three', originOf(await startRun('anonymous')))
  await addVersion(ctx, 'delay', 'four', originOf('run_3'))
  const isSelf = async (by: string, version: number) =>
    (await approveAs(ctx, person(by), { ...KEY, version })).isSelfApproved
  expect([await isSelf('ada', 1), await isSelf('ben', 1)]).toEqual([true, false])
  expect([await isSelf('ada', 2), await isSelf('ben', 2)]).toEqual([false, true])
  expect([await isSelf('ada', 3), await isSelf('ada', 4)]).toEqual([true, false])
})

test('a changed passport voids approvals, and says so', async () => {
  await addModel(ctx, modelOf('delay'))
  await addVersion(ctx, 'delay', 'one')
  await approveAs(ctx, caller, KEY)
  await ctx.db
    .updateTable('model_version')
    .set({ passport_digest: digestOf('changed') })
    .execute()
  expect(await approvalsOf(ctx, KEY)).toEqual([])
  expect(await listApprovals(ctx, KEY)).toMatchObject([{ by: 'ada', isValid: false }])
  expect(await fieldsOf()).toEqual(['approvals'])
  expect(await approveAs(ctx, caller, KEY)).toMatchObject({ passport: digestOf('changed') })
  expect((await listApprovals(ctx, KEY)).map((approval) => approval.isValid)).toEqual([false, true])
})

test('a change of the notes voids nothing', async () => {
  await addModel(ctx, modelOf('delay'))
  await addVersion(ctx, 'delay', 'one')
  await approveAs(ctx, caller, KEY)
  await ctx.transaction((tx) => declareModel(tx, modelOf('delay', { owner: 'cleo', description: 'new words' })))
  expect(await fieldsOf()).toEqual([])
})

test('moveAlias() moves with its event and audit row; repeating it is free', async () => {
  for (const word of ['one', 'two']) await addVersion(ctx, 'delay', word)
  const move = { model: 'delay', alias: 'best', version: 1 }
  expect(await moveAlias(ctx, move)).toEqual(move)
  const [events, audit] = [await database.events(), await auditOf(ctx)]
  expect(events.at(-1)).toEqual({ type: 'registry.alias_moved', subject: 'delay@best', data: { from: null, to: 1 } })
  expect(audit.at(-1)).toMatchObject({ action: 'alias.move', subject: 'delay@best' })
  await moveAlias(ctx, move)
  expect([await database.events(), await auditOf(ctx)]).toEqual([events, audit])
  await moveAlias(ctx, { ...move, version: 2 })
  expect(await listAliases(ctx, 'delay')).toEqual([{ ...move, version: 2 }])
  expect((await database.events()).at(-1)!.data).toEqual({ from: 1, to: 2 })
})

test('moveAlias() refuses when someone else moved the alias first', async () => {
  for (const word of ['one', 'two', 'three']) await addVersion(ctx, 'delay', word)
  const move = (version: number, expected?: number | null) =>
    moveAlias(ctx, { model: 'delay', alias: 'best', version, ...(expected === undefined ? {} : { expected }) })
  await expect(move(1, 3)).rejects.toMatchObject({
    kind: 'precondition',
    code: 'registry.alias_moved',
    details: { expected: 3, actual: null },
  })
  const first = await Promise.allSettled([move(1, null), move(2, null)])
  expect(first.map((end) => end.status).sort()).toEqual(['fulfilled', 'rejected'])
  const { version } = (await listAliases(ctx, 'delay'))[0]!
  await expect(move(3, null)).rejects.toMatchObject({ details: { expected: null, actual: version } })
  const second = await Promise.allSettled([move(3, version), move(version === 1 ? 2 : 1, version)])
  expect(second.map((end) => end.status).sort()).toEqual(['fulfilled', 'rejected'])
  await expect(move(9)).rejects.toMatchObject({ code: 'registry.version_not_found' })
})

test.each(['latest', 'LATEST', 'v1', 'v٣', 'a\u202eb', 'e\u0301', 'V22', '', 'a b', 'a/b', 'a@b', 'x'.repeat(256)])(
  'moveAlias() refuses the alias %j',
  async (alias) => {
    await addVersion(ctx, 'delay', 'one')
    const refused = { kind: 'invalid', code: 'registry.bad_alias' }
    await expect(moveAlias(ctx, { model: 'delay', alias, version: 1 })).rejects.toMatchObject(refused)
  },
)

test.each(['champion', 'challenger', 'canary'])(
  '%s follows what a route serves: nobody else moves or deletes it',
  async (alias) => {
    await addVersion(ctx, 'delay', 'one')
    const refused = {
      kind: 'forbidden',
      code: 'registry.alias_protected',
      details: { action: expect.stringContaining('release') },
    }
    await expect(moveAlias(ctx, { model: 'delay', alias, version: 1 })).rejects.toMatchObject(refused)
    await expect(deleteAlias(ctx, { model: 'delay', alias })).rejects.toMatchObject(refused)
  },
)

test.each(['Champion', 'CHAMPION', 'Challenger', 'cAnary', 'сһамріоп', 'ｃhampion', 'canаry'])(
  '%s is taken for what a route serves: it cannot be made, and one that is there can be deleted',
  async (alias) => {
    await addVersion(ctx, 'delay', 'one')
    const moved = await api.call('PUT', `/api/v1/models/delay/aliases/${encodeURIComponent(alias)}`, { version: 1 })
    expect([moved.status, moved.json]).toMatchObject([403, { code: 'registry.alias_protected' }])
    await ctx.db.insertInto('model_alias').values({ project: 'default', model: 'delay', alias, version: 1 }).execute()
    await deleteAlias(ctx, { model: 'delay', alias })
    expect(await listAliases(ctx, 'delay')).toEqual([])
  },
)

test('deleteAlias() leaves an event and an audit row, and is free without such an alias', async () => {
  await addVersion(ctx, 'delay', 'one')
  await moveAlias(ctx, { model: 'delay', alias: 'best', version: 1 })
  await deleteAlias(ctx, { model: 'delay', alias: 'best' })
  const [events, audit] = [await database.events(), await auditOf(ctx)]
  expect([events.at(-1)!.type, audit.at(-1)!.action]).toEqual(['registry.alias_deleted', 'alias.delete'])
  await deleteAlias(ctx, { model: 'delay', alias: 'best' })
  expect([await database.events(), await auditOf(ctx)]).toEqual([events, audit])
})

test('a version that a route holds is not deleted or renamed, also when champion is another one', async () => {
  for (const word of ['one', 'two']) await addVersion(ctx, 'delay', word)
  await ctx.transaction(async (tx) => {
    await holdVersion(tx, { holder: 'production/slow', model: 'delay', version: 1 })
    await holdVersion(tx, { holder: 'production/delay', model: 'delay', version: 1 })
    await holdVersion(tx, { holder: 'production/delay', model: 'delay', version: 2 })
    await projectChampion(tx, { model: 'delay', version: 2, environment: 'production' })
  })
  const refused = (what: string) => ({ code: 'registry.still_served', message: expect.stringContaining(what) })
  await expect(deleteVersion(ctx, KEY)).rejects.toMatchObject(refused('(production/slow)'))
  await expect(deleteVersion(ctx, { ...KEY, version: 2 })).rejects.toMatchObject(
    refused('(champion, production/delay)'),
  )
  await expect(renameModel(ctx, 'delay', 'late')).rejects.toMatchObject(refused('production/slow'))
  await expect(deleteModel(ctx, 'delay')).rejects.toMatchObject(refused('production/slow'))
  await ctx.transaction((tx) => holdVersion(tx, { holder: 'production/slow', model: 'delay', version: 2 }))
  await deleteVersion(ctx, KEY)
})

test('the routes of models show versions with aliases, gaps, approvals and history', async () => {
  await addModel(ctx, modelOf('delay'))
  await addModel(ctx, modelOf('empty'))
  for (const word of ['one', 'two']) await addVersion(ctx, 'delay', word)
  expect(await api.call('PUT', '/api/v1/models/delay/aliases/best', { version: 1, expected: null })).toMatchObject({
    status: 200,
    json: { alias: 'best', version: 1 },
  })
  expect((await api.call('PUT', '/api/v1/models/delay/aliases/best', { version: 2, expected: 2 })).status).toBe(412)
  expect((await api.call('PUT', '/api/v1/models/delay/aliases/best', { version: 2 })).status).toBe(200)
  const approved = await api.call('POST', '/api/v1/models/delay/versions/2/approvals', { comment: 'fine' })
  expect(approved.json).toMatchObject({ approval: { by: 'ada', isValid: true }, gaps: [] })
  const { json } = await api.call('GET', '/api/v1/models/delay/versions/2')
  expect(json).toMatchObject({ aliases: ['best'], gaps: [], approvals: [{ by: 'ada' }], notes: { owner: 'ops' } })
  expect(json.history.map((entry: { action: string }) => entry.action)).toEqual([
    'version.approve',
    'alias.move',
    'version.register',
  ])
  const one = await api.call('GET', '/api/v1/models/delay/versions/1?environment=staging')
  expect(one.json).toMatchObject({ environment: 'staging', gaps: [], approvals: [] })
  expect(one.json.history.map((entry: { action: string }) => entry.action)).toEqual([
    'alias.move',
    'alias.move',
    'version.register',
  ])
  const models = await api.call('GET', '/api/v1/models')
  expect(models.json.models).toMatchObject([
    { name: 'delay', versions: 2, latest: 2, champion: null },
    { name: 'empty', versions: 0, latest: null },
  ])
  const nextOf = async (query: string) => (await api.call('GET', `/api/v1/models${query}`)).json.next
  expect([await nextOf('?limit=1'), await nextOf('?limit=2'), await nextOf('?limit=1&after=delay')]).toEqual([
    'delay',
    null,
    null,
  ])
  expect([await nextOf('/delay/versions?limit=1'), await nextOf('/delay/versions?limit=2')]).toEqual([2, null])
  const page = await api.call('GET', '/api/v1/models/delay/versions?before=2')
  expect(page.json.versions.map((version: { version: number }) => version.version)).toEqual([1])
  expect((await api.call('GET', '/api/v1/models/absent/versions')).status).toBe(404)
  expect((await api.call('DELETE', '/api/v1/models/delay/aliases/best')).status).toBe(204)
})

test('an environment that no route and no model names is refused, with those that there are', async () => {
  await addModel(ctx, { ...modelOf('delay'), approvals: { production: 1, preview: 2 } })
  await addVersion(ctx, 'delay', 'one')
  const version = '/api/v1/models/delay/versions/1'
  const detail = 'Cannot find environment "prodction": there are preview, production, staging'
  const refused = { status: 404, json: { code: 'registry.environment_not_found', detail } }
  expect(await api.call('GET', `${version}?environment=prodction`)).toMatchObject(refused)
  expect(await api.call('POST', `${version}/approvals`, { environment: 'prodction' })).toMatchObject(refused)
  expect(await approvalsOf(ctx, { ...KEY, environment: 'prodction' })).toEqual([])
  for (const environment of ['preview', 'staging'])
    expect((await api.call('POST', `${version}/approvals`, { environment })).status).toBe(200)
})
