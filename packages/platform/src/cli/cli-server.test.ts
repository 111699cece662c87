import { execFileSync, spawnSync } from 'node:child_process'
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openClient } from '@plimsoll/sdk/client'
import type { GatewayStatus } from '@plimsoll/sdk/wire'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { openPglite } from '../adapters/pglite/backend.ts'
import { identityModel } from '../inference/onnx.fixture.ts'
import { settings } from '../kernel/config/index.ts'
import { layDatabase } from '../kernel/db/database-template.fixture.ts'
import { openDatabase } from '../kernel/db/index.ts'
import { filesWith, filesWithDigestOf, TOKEN } from '../processes/secret.fixture.ts'
import { askRunning } from './doctor/running.ts'
import {
  LAUNCHER,
  noteSaid,
  openCommandLine,
  openHostedCommandLine,
  openPlatform,
  type Platform,
} from './process.fixture.ts'
import { FORGED_LINE, GIT_IDENTITY, writeSmallProject } from './project.fixture.ts'

vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 })

const folder = mkdtempSync(join(tmpdir(), 'plimsoll-cli-server-'))
const said: string[] = []
const plimsoll = noteSaid(openHostedCommandLine(folder), said)
const alone = noteSaid(openCommandLine(folder), said) // each command in a process of its own
let platform: Platform

beforeAll(async () => {
  writeSmallProject(folder)
  await layDatabase(join(folder, '.plimsoll/database'), { isMigrated: true })
  await layDeadLetters()
  platform = await openPlatform(openCommandLine(folder, undefined, { PLIMSOLL_LOG_LEVEL: 'debug' }))
})
afterAll(async () => {
  plimsoll.close()
  expect(await platform?.close()).toBe(0)
  rmSync(folder, { recursive: true, force: true })
})

const DEAD_JOB = `job_${'0'.repeat(32)}`

/** A job of the platform and an event that were given up on before it started. */
async function layDeadLetters(): Promise<void> {
  const db = openDatabase(await openPglite(join(folder, '.plimsoll/database')))
  await sql`insert into job (id, project, kind, data, state, attempts, attempts_max, eligible_at, finished_at, error)
    values (${DEAD_JOB}, 'default', 'kernel.retention', 'null', 'dead', 8, 8, now(), now(), 'db.full: The disk is full')
  `.execute(db)
  await sql`update outbox_head set position = 1`.execute(db)
  await sql`insert into outbox (position, project, type, subject, data)
    values (1, 'default', 'registry.alias_moved', 'echo@champion', 'null')`.execute(db)
  await sql`insert into outbox_parked (consumer, position, project, subject, attempts, eligible_at, dead_at)
    values ('gone', 1, 'default', 'echo@champion', 8, now(), now() - interval '1 day')`.execute(db)
  await db.destroy()
}

/** Members of the answers that the tests read. */
interface Answer {
  id: string
  workDir: string
  prediction_id: string
}

/** Runs a command with --json and gives its one line. */
async function json(...args: string[]) {
  const { status, out, err } = await plimsoll.run(...args, '--json')
  expect(out, `${args.join(' ')}: ${err}`).toMatch(/^.+\n$/)
  return { status, value: JSON.parse(out) as Answer, err }
}

const RUN = /^run_[0-9a-f-]+$/
const started: Record<string, string> = {}

test('plan shows what apply would do and changes nothing; apply does it, and has nothing more to do', async () => {
  const plan = await plimsoll.run('plan')
  expect(plan).toMatchObject({ status: 0, err: '' })
  expect(plan.out).toContain('+ create    dataset numbers')
  expect((await plimsoll.run('dataset', 'list')).out).toContain('No datasets yet')
  const [, digest = ''] = /plimsoll apply --plan (sha256:[0-9a-f]{64})$/m.exec(plan.out) ?? []
  const other = await plimsoll.run(
    'apply',
    '--plan',
    digest.replace(/.$/, (last) => (last === '0' ? '1' : '0')),
  )
  expect(other).toMatchObject({ status: 1, err: expect.stringContaining('(definitions.stale_plan)') })
  expect(await plimsoll.run('apply', '--plan', digest)).toMatchObject({ status: 0, err: '' })
  expect((await plimsoll.run('plan')).out).toContain('Nothing to change')
})

test('run start tells its run at once, says off a terminal nothing else but the answer, and takes a second run from the cache', async () => {
  const first = await plimsoll.run('run', 'start', 'hello', '--param', 'whom=you')
  expect(first).toMatchObject({ status: 0, err: expect.stringMatching(/^Run run_[0-9a-f-]+\n$/) })
  expect(first.out).toMatch(/✓\s+greet\s+succeeded/)
  const second = await json('run', 'start', 'hello', '--param', 'whom=you')
  expect(second.value).toMatchObject({ state: 'succeeded', steps: { total: 2, done: 2, cached: 2 } })
  expect(JSON.parse(second.err)).toEqual({ run: second.value.id })
  started.hello = second.value.id
  const { err } = await plimsoll.run('logs', second.value.id, 'greet')
  expect(err).toMatch(/cached, see plimsoll logs run_\S+ greet$/m)
})

test('a run that fails is status 1, and says where to look', async () => {
  const { status, out } = await plimsoll.run('run', 'start', 'broken')
  expect(status).toBe(1)
  const run = /run_[0-9a-f-]+/.exec(out)![0]
  started.broken = run
  expect(out).toContain(`plimsoll logs ${run} broken`)
  const log = `the reason is written here\n${FORGED_LINE}\n`
  expect(await plimsoll.run('logs', run, 'broken')).toMatchObject({ status: 0, out: log })
})

test('logs --follow shows lines while the step runs, and ends with it', async () => {
  const gate = join(folder, 'gate')
  const { value } = await json('run', 'start', 'slow', '--param', `gate=${gate}`, '--detach')
  expect(value.id).toMatch(RUN)
  const follow = plimsoll.start('logs', value.id, 'slow', '--follow')
  let text = ''
  const ended = new Promise((done) => follow.once('close', done))
  await new Promise<void>((done) =>
    follow.stdout!.on('data', (chunk) => {
      text += String(chunk)
      if (text.includes('waiting')) done()
    }),
  )
  expect(text).not.toContain('open')
  writeFileSync(gate, '')
  expect(await ended).toBe(0)
  expect(text).toBe('waiting\nthe gate is open\n')
  expect(await plimsoll.run('run', 'follow', value.id)).toMatchObject({ status: 0 })
})

test('cancel ends a running step; who follows it learns so as status 1', async () => {
  const { value } = await json('run', 'start', 'slow', '--param', 'gate=/nonexistent/gate', '--detach')
  const follow = plimsoll.run('run', 'follow', value.id)
  expect(await plimsoll.run('cancel', value.id)).toMatchObject({ status: 0, out: expect.stringMatching(/cancel/) })
  expect(await follow).toMatchObject({ status: 1, out: expect.stringContaining('cancelled') })
  expect(await json('cancel', value.id)).toMatchObject({ status: 0, value: { run: value.id, state: 'cancelled' } })
})

test('step show and step debug lead to the files of an attempt', async () => {
  const { value } = await json('run', 'start', 'hello', '--param', 'whom=me', '--force', 'greet')
  const show = await plimsoll.run('step', 'show', `${value.id}/greet`)
  expect(show).toMatchObject({ status: 0, out: expect.stringMatching(/out\s+greeting\s+json\s+sha256:/) })
  expect(show.out).toMatch(
    /time {3}\d{4}-.* – \d{4}-.* s\n {2}said {3}half way\n {2}cache {2}forced.*\n {2}script .*\n {2}param {2}whom {2}"me"\n/,
  )
  expect((await json('step', 'show', `${value.id}/greet`)).value).toMatchObject({
    params: { whom: 'me' },
    cache: { reason: 'forced' },
    startedAt: expect.any(String),
    finishedAt: expect.any(String),
  })
  const debug = await json('step', 'debug', `${value.id}/greet`)
  expect(JSON.parse(readFileSync(join(debug.value.workDir, 'step.json'), 'utf8')).params).toEqual({ whom: 'me' })
})

test('step debug opens a shell in the directory and environment of the attempt', async () => {
  const { value } = await json('run', 'start', 'hello', '--param', 'whom=shell', '--force', 'greet')
  const shell = openCommandLine(folder, undefined, { SHELL: join(folder, 'shell') })
  writeFileSync(
    join(folder, 'shell'),
    '#!/bin/sh\npwd; echo "$PLIMSOLL_STEP"; env | grep -c MLFLOW_TRACKING_TOKEN; env | grep -cE "TELEMETRY|NOT_TRACK"; echo "$OMP_NUM_THREADS $OMP_WAIT_POLICY"; command -v node; exit 3\n',
    { mode: 0o700 },
  )
  const { status, out } = await shell.run('step', 'debug', `${value.id}/greet`)
  const [cwd, step, token, silenced, threads, node] = out.split('\n')
  expect(existsSync(join(cwd!, 'steps/greet.mts.mjs'))).toBe(true)
  expect(step).toContain(value.id)
  expect([token, silenced, threads, node, status]).toEqual(['0', '3', '1 PASSIVE', process.execPath, 3])
})

test('dataset add and show tell a damaged version with counts and examples', async () => {
  expect((await plimsoll.run('dataset', 'add', 'numbers')).status).toBe(0)
  expect(await plimsoll.run('dataset', 'add', 'numbers', '--path', 'data/damaged.csv')).toMatchObject({
    status: 3,
    err: expect.stringMatching(/Version 2 failed \d of \d expectations: it is kept, and refused downstream/),
  })
  expect((await plimsoll.run('dataset', 'versions', 'numbers')).out).toMatch(/2\s+failed\s+4\s+2\/5/)
  const shown = await plimsoll.run('dataset', 'show', 'numbers', '2')
  expect(shown.out).toMatch(/✗ a is between 0 and 10: 3 unexpected \(75\.0 %\), for example 99, 98$/m)
  expect(shown.out).toContain('2 of 5 expectations failed (2 declared, 3 of the schema)')
  expect((await plimsoll.run('dataset', 'show', 'numbers')).out).toContain('source    csv data/good.csv')
})

test('dataset add names the dataset that it cannot find', async () => {
  const nameless = await plimsoll.run('dataset', 'add', '')
  expect(nameless).toMatchObject({ status: 2, err: expect.stringContaining('"" as the name of a dataset') })
  const runs = (await plimsoll.run('run', 'list')).out
  const unknown = await plimsoll.run('dataset', 'add', 'letters')
  expect(unknown).toMatchObject({ status: 1, err: expect.stringContaining('Cannot find dataset "letters"') })
  expect((await plimsoll.run('run', 'list')).out).toBe(runs)
})

test('a model goes from a run to a prediction and back; a release without an approval is refused as status 3', async () => {
  const run = await json('run', 'start', 'train')
  expect(run.value).toMatchObject({ state: 'succeeded' })
  expect((await plimsoll.run('model', 'list')).out).toMatch(/echo\s+1\s+none\s+Gives back/)
  expect((await plimsoll.run('model', 'show', 'echo/1')).out).toContain('→ plimsoll approve echo 1')
  const named = ['--token-file', 'ada.token']
  expect((await plimsoll.run('token', 'create', 'ada', '--role', 'approver', '--out', 'ada.token')).status).toBe(0)
  expect((await plimsoll.run('release', 'echo', '1', '--reason', 'early', ...named)).status).toBe(3)
  const approve = async () => (await plimsoll.run('approve', 'echo/1', '--comment', 'seen', ...named)).out
  expect(await approve()).toMatch(/^ada approves echo\/1/)
  expect(await approve()).toMatch(/^ada had approved echo\/1 for production already, at .*: nothing was changed/)
  expect(await plimsoll.run('release', 'echo', '1', '--reason', 'first', ...named)).toMatchObject({
    status: 0,
    out: expect.stringMatching(/^echo serves echo\/1 in production .*; gateways take it within seconds\n$/),
  })
  expect((await plimsoll.run('route', 'show', 'echo')).out).toMatch(
    /serves echo\/1 since(?:.*\n)+release .*ada .*first/,
  )
  await expect
    .poll(async () => (await fetch(`${platform.gateway}/v2/models/echo/ready`)).status, { timeout: 60_000 })
    .toBe(200)
  const { value } = await json('predict', 'echo', '{"a": 1, "b": 2}')
  expect(value).toMatchObject({ model: 'echo', version: '1', predictions: [expect.anything()] })
  await expect
    .poll(async () => (await plimsoll.run('explain', value.prediction_id)).out, { timeout: 60_000 })
    .toContain('The chain is intact')
  const back = await plimsoll.run('rollback', 'echo', '--reason', 'back', ...named)
  expect(back).toMatchObject({ status: 1, err: expect.stringContaining('delivery.nothing_before') })
})

test('a retired route is unknown to the gateway, its predictions are explained, and a release brings it back', async () => {
  const named = ['--token-file', 'ada.token']
  const { value } = await json('predict', 'echo', '{"a": 1, "b": 2}')
  await expect
    .poll(async () => (await plimsoll.run('explain', value.prediction_id)).out, { timeout: 60_000 })
    .toContain('The chain is intact')
  expect(await plimsoll.run('retire', 'echo', ...named)).toMatchObject({
    status: 2,
    err: expect.stringContaining('Cannot move echo: --reason is not given'),
  })
  expect(await plimsoll.run('retire', 'echo', '--reason', 'replaced')).toMatchObject({
    status: 1,
    err: expect.stringContaining('(auth.named_principal_needed)'),
  })
  expect(await plimsoll.run('retire', 'echo', '--from', '7', '--reason', 'replaced', ...named)).toMatchObject({
    status: 1,
    err: expect.stringContaining('Cannot move echo: expected version 7 to serve, found version 1'),
  })
  expect(await plimsoll.run('retire', 'echo', '--from', '1', '--reason', 'replaced', ...named)).toMatchObject({
    status: 0,
    out: expect.stringContaining('echo serves nothing in production any more; it served echo/1'),
  })
  const ask = async () => {
    const body = JSON.stringify({ rows: [{ a: 1, b: 2 }] })
    const headers = { 'content-type': 'application/json' }
    const answer = await fetch(`${platform.gateway}/predict/echo`, { method: 'POST', headers, body })
    return [answer.status, ((await answer.json()) as { code?: string }).code]
  }
  await expect.poll(ask, { timeout: 60_000 }).toEqual([404, 'serving.route_unknown'])
  const unserved = await plimsoll.run('predict', 'echo', '{"a": 1, "b": 2}')
  expect(unserved.err).toContain('It is declared and nothing serves there: plimsoll release echo VERSION --reason WHY')
  expect((await plimsoll.run('explain', value.prediction_id)).out).toContain('The chain is intact')
  expect((await plimsoll.run('model', 'list')).out).toMatch(/echo\s+1\s+none/)
  expect(await plimsoll.run('release', 'echo', '1', '--reason', 'back', ...named)).toMatchObject({ status: 0 })
  await expect.poll(async () => (await ask())[0], { timeout: 60_000 }).toBe(200)
})

/** A second version that gives back what the first does, by a file of other bytes. */
async function trainAgain(): Promise<void> {
  const model = identityModel('FP32', ['n', 2], { second: 'yes' })
  writeFileSync(join(folder, 'steps/model.b64'), Buffer.from(model).toString('base64'))
  for (const args of [
    ['add', '--all'],
    ['commit', '--quiet', '--message', 'second'],
  ])
    execFileSync('git', ['-C', folder, ...GIT_IDENTITY, ...args])
  expect(await plimsoll.run('apply')).toMatchObject({ status: 0 })
  expect((await json('run', 'start', 'train')).value).toMatchObject({ state: 'succeeded' })
}

test('who signs with a registered key approves, releases and rolls back, until the key is revoked', async (context) => {
  if (spawnSync('ssh-keygen', ['-?']).status === null) return context.skip('openssh-client is not installed')
  await trainAgain()
  const [key, signed] = [join(folder, 'grace'), ['--sign-with', 'grace', '--as', 'grace']]
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key])
  const unknown = await plimsoll.run('approve', 'echo', '2', ...signed)
  expect(unknown).toMatchObject({ status: 1, err: expect.stringContaining('(auth.bad_signature)') })
  const added = await json('key', 'add', 'grace', `${key}.pub`, '--role', 'approver')
  expect(added).toMatchObject({ status: 0, value: { principal: 'grace', revoked_at: null } })
  const twice = await plimsoll.run('key', 'add', 'grace', `${key}.pub`)
  expect(twice).toMatchObject({ status: 1, err: expect.stringContaining('(auth.key_taken)') })

  expect(await plimsoll.run('approve', 'echo', '2', ...signed)).toMatchObject({
    status: 0,
    out: expect.stringContaining('grace approves echo/2'),
  })
  const because = ['--reason', 'signed', ...signed]
  const released = await json('release', 'echo', '2', ...because)
  expect(released).toMatchObject({ status: 0, value: { action: 'release', version: 2, actor: 'grace' } })
  const serving = async () => (await json('predict', 'echo', '{"a": 1, "b": 2}')).value
  await expect.poll(serving, { timeout: 60_000 }).toMatchObject({ version: '2' })
  const back = await json('rollback', 'echo', ...because)
  expect(back).toMatchObject({ status: 0, value: { action: 'rollback', version: 1, actor: 'grace' } })
  await expect.poll(serving, { timeout: 60_000 }).toMatchObject({ version: '1' })
  const retired = await json('retire', 'echo', ...because)
  expect(retired).toMatchObject({ status: 0, value: { action: 'retire', version: 1, actor: 'grace' } })
  expect(await plimsoll.run('rollback', 'echo', ...because)).toMatchObject({ status: 1, out: '' })
  expect(await plimsoll.run('release', 'echo', '1', ...because)).toMatchObject({ status: 0 })

  const ended = await json('key', 'revoke', added.value.id)
  expect(ended).toMatchObject({ status: 0, value: { revoked: added.value.id } })
  const refused = await plimsoll.run('rollback', 'echo', ...because)
  expect(refused).toMatchObject({ status: 1, out: '', err: expect.stringContaining('(auth.bad_signature)') })
  const gone = await plimsoll.run('key', 'revoke', added.value.id)
  expect(gone).toMatchObject({ status: 1, err: expect.stringContaining('(auth.key_not_found)') })
})

test('what a project no longer declares is kept, shown by plan --prune, and deleted by apply --prune alone', async () => {
  const declare = (...names: string[]) => {
    const keys = [{ name: 'code', type: 'text' }]
    const definitions = names.map((name) => ({ kind: 'entity', name, keys }))
    // JSON is YAML.
    writeFileSync(join(folder, 'pruned/plimsoll.project.yaml'), JSON.stringify({ project: 'pruned', definitions }))
  }
  mkdirSync(join(folder, 'pruned'))
  declare('stays', 'goes')
  expect(await plimsoll.run('apply', 'pruned')).toMatchObject({ status: 0 })
  declare('stays')
  const kept = '? kept      entity goes (no longer declared; --prune deletes it)'
  expect((await plimsoll.run('plan', 'pruned')).out).toContain(kept)
  expect((await plimsoll.run('apply', 'pruned')).out).toContain(kept)
  const plan = await plimsoll.run('plan', 'pruned', '--prune')
  expect(plan.out).toMatch(
    /^ {2}unchanged entity stays\n- delete {4}entity goes\n(warning: .*\n)?This and nothing else: plimsoll apply pruned --prune --plan sha256:\S+\n$/,
  )
  expect(await plimsoll.run('features', 'show', 'entity', 'goes')).toMatchObject({ status: 0 })
  expect((await plimsoll.run('apply', 'pruned', '--prune')).out).toContain('- delete    entity goes')
  const gone = await plimsoll.run('features', 'show', 'entity', 'goes')
  expect(gone).toMatchObject({ status: 1, err: expect.stringContaining('(features.entity_not_found)') })
  expect(await plimsoll.run('features', 'show', 'entity', 'stays')).toMatchObject({ status: 0 })
})

test('doctor tells of a gateway that refuses what it is to serve, with what that costs', async () => {
  const dataDir = join(folder, '.plimsoll')
  const operator = readFileSync(join(dataDir, 'operator-token'), 'utf8').trim()
  const say = async (refused: GatewayStatus['refused']) => {
    const body: GatewayStatus = { boot: 'b', epoch: 1, state: 'ready', refused, spooledBytes: 0, latency: {} }
    const path = '/api/v1/serving/gateways/other/status'
    await openClient({ server: platform.api, token: operator }).call({ method: 'PUT', path, body })
  }
  const ask = async (server: string) =>
    (await askRunning({ server }, settings.parse({ dataDir }))).findings.map(({ state, found }) => `${state}: ${found}`)
  await say(null)
  const [own, other] = await ask(platform.api)
  expect([own, other]).toEqual([expect.stringMatching(/^ok: .+ serves epoch \d+$/), 'ok: other serves epoch 1'])
  await say({ epoch: 2, reason: 'The model is damaged' })
  const { status, out } = await plimsoll.run('doctor', '--data-dir', dataDir)
  expect({ status, out }).toMatchObject({
    status: 5,
    out: expect.stringMatching(
      /what runs:\n✓ gateways .*\n✗ gateways +other has refused epoch 2, and serves epoch 1 still: The model is damaged\n +What was released since does not serve there\. Mend/,
    ),
  })
  await say({ epoch: 1, reason: 'route echo: The model is damaged' })
  expect((await ask(platform.api))[1]).toMatch(/^problem: other has refused epoch 1, not in all its routes: route echo/)
  await say(null)
  expect(await ask('http://127.0.0.1:1')).toEqual([expect.stringMatching(/^problem: Cannot reach/)])
})

test('a token for every project is the operator’s to make, and the list says so', async () => {
  const made = await plimsoll.run(
    'token',
    'create',
    'prometheus',
    '--role',
    'viewer',
    '--all-projects',
    '--out',
    'p.token',
  )
  expect(made).toMatchObject({ status: 0 })
  expect((await plimsoll.run('token', 'list')).out).toMatch(/prometheus\s+viewer\s+all projects/)
  const refused = await plimsoll.run('token', 'create', 'eve', '--all-projects', '--token-file', 'ada.token')
  expect([refused.status, refused.err]).toEqual([1, expect.stringMatching(/ada may not do this/)])
})

test('who names the server by its address sends no token of the operator, and is told so where it takes one', async () => {
  const refused = await plimsoll.run('token', 'list', '--server', platform.api)
  expect(refused).toMatchObject({
    status: 1,
    err: expect.stringMatching(/anonymous may not do this.*--token-file or PLIMSOLL_TOKEN.*--data-dir DIR/),
  })
})

test('project create makes a project of the server, to which the folder goes under --project', async () => {
  const absent = await plimsoll.run('run', 'list', '--project', 'second')
  expect(absent).toMatchObject({ status: 1, err: expect.stringContaining('plimsoll project create second') })
  const inSecond = openCommandLine(folder, undefined, { PLIMSOLL_PROJECT: 'second' })
  expect((await inSecond.run('project', 'create', 'second')).out).toContain('--project second')
  expect((await plimsoll.run('project', 'list')).out).toMatch(/second\s+admin\s+\S+\s+operator/)
  expect((await inSecond.run('plan')).out).toContain('+ create    dataset numbers')
  // What its step logs by MLflow, whose client names no project, is in the project too.
  expect(await inSecond.run('apply')).toMatchObject({ status: 0 })
  expect(await inSecond.run('run', 'start', 'train')).toMatchObject({ status: 0 })
  expect((await inSecond.run('model', 'show', 'echo')).out).toMatch(/auc\D+0\.75/)
  const twice = await plimsoll.run('project', 'create', 'second')
  expect(twice).toMatchObject({ status: 1, err: expect.stringContaining('auth.project_taken') })
})

test('audit list names who did what; audit verify finds the ledger whole', async () => {
  expect((await plimsoll.run('audit', 'list', '--limit', '200')).out).toMatch(/ada\s+token\S*\s+release\.create/)
  expect((await plimsoll.run('audit', 'verify')).out).toContain('The ledger is whole')
})

test('a journal that was cut is status 1 until somebody repairs it and says why', async () => {
  truncateSync(join(folder, '.plimsoll', 'journal', 'ledger.log'), 0)
  const cut = await plimsoll.run('audit', 'verify')
  expect(cut).toMatchObject({ status: 1, out: expect.stringContaining('broken at position 1 (journal)') })
  expect(await plimsoll.run('audit', 'repair')).toMatchObject({ status: 2 })
  const repair = await plimsoll.run('audit', 'repair', '--reason', 'a test cut it')
  expect(repair).toMatchObject({ status: 0, out: expect.stringMatching(/\d+ of \d+ rows were written again/) })
  expect((await plimsoll.run('audit', 'verify')).out).toContain('The ledger is whole')
  const again = await plimsoll.run('audit', 'repair', '--reason', 'to see')
  expect(again).toMatchObject({ status: 0, out: expect.stringContaining('Nothing is missing from the journal') })
  const rebuilt = await plimsoll.run('audit', 'rebuild', '--reason', 'to see')
  expect(rebuilt).toMatchObject({ status: 0, out: expect.stringContaining('The database says what the journal says') })
  expect((await plimsoll.run('audit', 'verify')).out).toContain('The ledger is whole')
})

test('dead-letter list shows what was given up on; retry runs it, and discard removes it', async () => {
  const { out } = await plimsoll.run('dead-letter', 'list')
  expect(out).toMatch(
    new RegExp(`${DEAD_JOB}\\s+job\\s+kernel.retention\\s+—\\s+8 .* db.full: The disk is full\\n1@gone`),
  )
  expect(out).toMatch(/1@gone\s+event\s+registry.alias_moved to gone\s+echo@champion\s+8 /)
  expect((await plimsoll.run('dead-letter', 'list', '--limit', '1')).out).toContain('These are the newest 1 of 2')
  expect(await plimsoll.run('dead-letter', 'retry', DEAD_JOB)).toMatchObject({ status: 0, err: '' })
  expect((await json('dead-letter', 'discard', '1@gone')).value).toEqual({ discarded: '1@gone' })
  expect(await plimsoll.run('dead-letter', 'list')).toMatchObject({
    status: 0,
    out: 'No dead letters: nothing was given up on\n',
  })
  const again = await plimsoll.run('dead-letter', 'discard', '1@gone')
  expect(again).toMatchObject({ status: 1, err: expect.stringContaining('There is no dead letter 1@gone') })
})

test.each([
  ['run', 'list'],
  ['run', 'show', '$hello'],
  ['run', 'follow', '$hello'],
  ['logs', '$broken', 'broken'],
  ['dataset', 'list'],
  ['dataset', 'show', 'numbers'],
  ['dataset', 'versions', 'numbers'],
  ['features', 'list'],
  ['model', 'list'],
  ['model', 'versions', 'echo'],
  ['model', 'show', 'echo', '1'],
  ['plan'],
  ['audit', 'list'],
  ['audit', 'verify'],
  ['dead-letter', 'list'],
  ['project', 'list'],
  ['token', 'list'],
  ['key', 'list'],
])('plimsoll %s %s is text for people, and one line of JSON with --json', async (...words) => {
  const args = words.map((word) => (word.startsWith('$') ? started[word.slice(1)]! : word))
  const [people, machine] = await Promise.all([alone.run(...args), json(...args)])
  expect(people).toMatchObject({ status: 0, err: '' })
  expect(people.out.trim()).not.toBe('')
  expect(people.out).not.toContain('\u001b')
  expect(machine.status).toBe(0)
})

test.each([
  ['a pipeline', ['run', 'start', 'helo'], /Cannot find pipeline "helo".*Did you mean hello\?/],
  ['a dataset', ['dataset', 'show', 'nubmers'], /Did you mean numbers\?/],
  ['a model', ['model', 'show', 'ehco', '1'], /Did you mean echo\?/],
  ['a model that is near none', ['model', 'show', 'zzzzzz', '1'], /model "zzzzzz".*There is only echo(?!.*List them)/],
  ['a route', ['release', 'ecko', '1', '--reason', 'x', '--token-file', 'ada.token'], /Did you mean echo\?/],
  ['a route of the gateway', ['predict', 'ecko', '{"a": 1, "b": 2}'], /serving\.route_unknown.*Did you mean echo\?/],
  ['a step', ['step', 'show', '$hello/gret'], /Did you mean greet\?/],
  ['a name that is near none', ['run', 'start', 'zzzzzz'], /There are broken, hello, slow, train(?!.*There are)/],
])('a misspelt name says what was meant: %s', async (_name, words, message) => {
  const args = words.map((word) => word.replace('$hello', started.hello!))
  const { status, err, out } = await plimsoll.run(...args)
  expect(err).toMatch(message)
  expect({ status, out }).toEqual({ status: 1, out: '' })
})

test.each([
  ['run', 'show', '..'],
  ['run', 'show', ' '],
  ['dataset', 'show', 'numbers', 'two'],
  ['model', 'show', 'echo', '-1x'],
  ['run', 'list', '--limit', '1.5'],
  ['run', 'start', 'hello', '--param', 'who=x'],
  ['features', 'list', '--kind', 'table'],
  ['step', 'show', 'no-slash'],
  ['predict', 'echo', '{a: 1}'],
  ['token', 'create', 'bob', '--role', 'king'],
])('plimsoll %s %s %s is a fault of usage: status 2', async (...args) => {
  const { status, err, out } = await plimsoll.run(...args)
  expect(err.trim().split('\n')).toHaveLength(1)
  expect({ status, out }).toEqual({ status: 2, out: '' })
})

test.each(['step show run_x/greet', 'logs run_x greet', 'logs run_x'])(
  'plimsoll %s, where there is no such run, blames the run',
  async (words) => {
    const line = 'plimsoll: Cannot find run "run_x" (pipelines.run_not_found) — List them with plimsoll run list'
    const { status, err, out } = await plimsoll.run(...words.split(' '))
    expect({ status, err: err.trim(), out }).toEqual({ status: 1, err: line, out: '' })
  },
)

test('a name cannot lead to another path of the API', async () => {
  const { err } = await plimsoll.run('run', 'show', '../models')
  expect(err).toContain('pipelines.run_not_found')
})

/** Runs a command on a terminal of that width, by the program that util-linux has for it. */
async function onTerminal(columns: number, ...args: string[]): Promise<string> {
  const words = [process.execPath, LAUNCHER, ...args].map((word) => `'${word}'`).join(' ')
  const { out } = await openCommandLine(folder, ['script', '-qec', `stty cols ${columns}; ${words}`, '/dev/null']).run()
  return out.replaceAll('\r\n', '\n')
}

test.runIf(process.platform === 'linux')(
  'on a terminal a run shows a bar and each step that ends; the answer stays clean',
  async () => {
    const text = await onTerminal(80, 'run', 'start', 'hello', '--param', 'whom=terminal')
    expect(text).toMatch(/[█░]{24}/)
    expect(text).toMatch(/✓ greet {2}succeeded {2}\d+\.\d s\n/)
    const [answer] = text.split('\r\x1b[2K').slice(-1)
    expect(answer).toMatch(/^run_[0-9a-f-]+ {2}succeeded {2}hello {2}2\/2 steps/)
    expect(await onTerminal(80, 'run', 'start', 'hello', '--param', 'whom=terminal', '--json')).toMatch(
      /^\{"run":.*\}\n\{.*\}\n$/,
    )
  },
)

test.runIf(process.platform === 'linux')(
  'logs lets no control of a step but colours reach a terminal, and gives a pipe the bytes as they are',
  async () => {
    const text = '\u001b]0;owned\u0007\b\u001b[2J\u001b[31mred'
    const { value } = await json('run', 'start', 'hello', '--param', `whom=${text}`)
    expect((await plimsoll.run('logs', value.id, 'greet')).out).toBe(`greeting ${text}\n`)
    const shown = 'greeting \u001b[31mred\n\u001b[0m'
    expect(await onTerminal(80, 'logs', value.id, 'greet')).toBe(shown)
    expect(await onTerminal(80, 'logs', value.id)).toContain(`\u001b[0mgreet | ${shown}`)
  },
)

test.runIf(process.platform === 'linux')(
  'on a narrow terminal no line of a table is longer than it is wide',
  async () => {
    const wide = await onTerminal(200, 'run', 'list')
    expect(wide).toMatch(/^run\s+state\s+pipeline\s+steps\s+created\s+by\n.*:\d\dZ {2}/m)
    const narrow = await onTerminal(60, 'run', 'list')
    expect(Math.max(...narrow.split('\n').map((line) => line.length))).toBeLessThanOrEqual(60)
    expect(narrow).toMatch(/run_[0-9a-f]{32}/)
  },
)

test('what init writes comes from the cache at its second run, and a changed script runs its own step only', async () => {
  expect(await json('init', 'mine')).toMatchObject({
    status: 0,
    value: { name: 'mine', files: expect.arrayContaining(['plimsoll.project.mts', 'steps/draw.py']) },
  })
  const project = join(folder, 'mine/plimsoll.project.mts')
  writeFileSync(project, readFileSync(project, 'utf8').replace("name: 'hello'", "name: 'pi'")) // the folder's own has a hello
  const applyAndRun = async () => {
    expect(await plimsoll.run('apply', 'mine')).toMatchObject({ status: 0, err: '' })
    return (await json('run', 'start', 'pi')).value
  }
  expect(await applyAndRun()).toMatchObject({ state: 'succeeded', steps: { total: 2, cached: 0 } })
  expect(await applyAndRun()).toMatchObject({ state: 'succeeded', steps: { total: 2, cached: 2 } })
  appendFileSync(join(folder, 'mine/steps/estimate.py'), 'print("once more")\n')
  expect(await applyAndRun()).toMatchObject({ state: 'succeeded', steps: { total: 2, cached: 1 } })
})

test('of all that went before, no token of an operator, a person or an attempt is in a log, the database or an answer', async () => {
  const data = join(folder, '.plimsoll')
  const tokenIn = (path: string) => readFileSync(path, 'utf8').trim()
  const operator = join(data, 'operator-token')
  for (const path of [operator, join(folder, 'ada.token')])
    expect(await filesWithDigestOf(tokenIn(path), join(data, 'database'))).not.toEqual([])
  expect(tokenIn(operator)).toMatch(TOKEN)
  expect(await filesWith(TOKEN, data)).toEqual([operator])
  expect(said.filter((text) => TOKEN.test(text))).toEqual([])
})
