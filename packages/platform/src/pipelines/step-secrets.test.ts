import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type PipelineStep, pipelineStep } from '@plimsoll/sdk/wire'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openEnvironmentSecrets } from '../adapters/secret-environment/secret-provider.ts'
import { manualClock } from '../kernel/clock.ts'
import { openSecrets } from '../kernel/secrets.ts'
import { filesWith } from '../processes/secret.fixture.ts'
import { attemptTokenOf, type Engine, openEngine, outPath, shell } from './engine.fixture.ts'
import { readRun, readStep } from './index.ts'
import { CONTRACT_FILE, workDirOf } from './launch.ts'
import { readLog } from './log.ts'
import { openStepSecrets, type SecretAttempt } from './step-secrets.ts'

const runsDir = mkdtempSync(join(tmpdir(), 'plimsoll-step-secrets-'))
afterAll(() => rmSync(runsDir, { recursive: true }))
const clock = manualClock()
const OPTIONS = { secret: 'of these tests', runsDir, tokenOf: attemptTokenOf, clock }
const RUN = { project: 'default', run: 'run_1' }

test.each([
  ['none', 'pipelines.secret_missing'],
  ['short', 'pipelines.secret_too_short'],
  ['blank', 'pipelines.secret_too_short'],
  ['ships', 'pipelines.secret_too_short'],
])('give() refuses with the name of the secret and without its value: %s', async (name, code) => {
  const provider = openEnvironmentSecrets({
    PLIMSOLL_SECRET_SHORT: 'p1n',
    PLIMSOLL_SECRET_BLANK: '  p1n   ',
    PLIMSOLL_SECRET_SHIPS: '🚢🚢🚢',
  })
  const secrets = openSecrets(
    async () => [provider],
    () => 'Set it',
  )
  const definition = { key: 'load', kind: 'command', secrets: { PASSWORD: name } }
  const giving = openStepSecrets(secrets, OPTIONS).give({ ...RUN, fence: 1n, definition })
  await expect(giving).rejects.toMatchObject({ code, message: expect.stringContaining(name) })
  await expect(giving).rejects.not.toThrow('p1n')
  // Every viewer sees a param.
  await expect(giving).rejects.toMatchObject({ details: { action: expect.not.stringContaining('param') } })
})

test('give() takes values of 96 KiB together, and refuses more, before the system does', async () => {
  const most = 48 << 10
  const variables = { PLIMSOLL_SECRET_ONE: 'x'.repeat(most), PLIMSOLL_SECRET_TWO: 'y'.repeat(most) }
  const secrets = openSecrets(
    async () => [openEnvironmentSecrets(variables)],
    () => 'Set it',
  )
  const giving = () =>
    openStepSecrets(secrets, OPTIONS).give({
      ...RUN,
      fence: 1n,
      definition: { key: 'load', kind: 'command', secrets: { ONE: 'one', TWO: 'two' } },
    })
  expect((await giving()).environment.TWO).toHaveLength(most)
  variables.PLIMSOLL_SECRET_TWO += 'y'
  await expect(giving()).rejects.toMatchObject({
    kind: 'precondition',
    code: 'pipelines.secrets_too_large',
    message:
      'Cannot give step load its secrets: they are 98305 bytes together, more than the 98304 that a step may be given',
  })
})

/** Secrets of one step, by a variable that may change. */
function openChanging(variables: Record<string, string>) {
  const secrets = openSecrets(
    async () => [openEnvironmentSecrets(variables)],
    () => 'Set it',
  )
  const attempt = (fence: bigint) => ({
    ...RUN,
    fence,
    definition: { key: 'load', kind: 'command', secrets: { PASSWORD: 'password' } },
  })
  const open = (secret = OPTIONS.secret) => openStepSecrets(secrets, { ...OPTIONS, secret })
  return { open, steps: open(), attempt }
}

/** What a launch keeps with the files of an attempt. */
function keepDigest(attempt: SecretAttempt, digest: string | undefined): void {
  const workDir = workDirOf(runsDir, attempt)
  mkdirSync(workDir, { recursive: true })
  writeFileSync(join(workDir, CONTRACT_FILE), JSON.stringify({ platform: { secrets: digest } }))
}

test('redactorOf() hides a value without the blanks at its ends, which a program may take off', async () => {
  const { steps, attempt } = openChanging({ PLIMSOLL_SECRET_PASSWORD: ' canary-1\t' })
  expect((await steps.give(attempt(1n))).environment).toEqual({ PASSWORD: ' canary-1\t' })
  expect((await steps.redactorOf(attempt(1n))).hideText('[canary-1] [ canary-1\t]')).toBe('[********] [ ********\t]')
})

test('redactorOf() of a later incarnation hides what reads as it was given, and refuses what has changed', async () => {
  const variables: Record<string, string> = { PLIMSOLL_SECRET_PASSWORD: 'canary-1' }
  const { open, steps, attempt } = openChanging(variables)
  const own = attempt(201n)
  const hide = async (later = open()) => (await later.redactorOf(own)).hideText('canary-1 canary-2')
  const { digest } = await steps.give(own)
  await expect(hide()).rejects.toMatchObject({ code: 'pipelines.secret_changed' }) // what was given is not known
  keepDigest(own, digest)
  expect(await hide()).toBe('******** canary-2')
  variables['PLIMSOLL_SECRET_PASSWORD'] = 'canary-2'
  expect(await hide(steps)).toBe('******** canary-2')
  await expect(hide()).rejects.toMatchObject({ kind: 'precondition', code: 'pipelines.secret_changed' })
  await expect(hide()).rejects.not.toThrow(/canary/)
  variables['PLIMSOLL_SECRET_PASSWORD'] = 'canary-1'
  expect(await hide()).toBe('******** canary-2')
})

test('redactorOf() hides the token of an attempt that runs a program of its own, with secrets and without', async () => {
  const { open, attempt } = openChanging({})
  const bare = (kind: string) => ({ ...attempt(205n), definition: { key: 'load', kind } })
  const text = `token ${attemptTokenOf(attempt(205n))}, ${attemptTokenOf(attempt(206n))}`
  const shown = text.replace(/plimstep_205\w+/, (token) => '*'.repeat(token.length))
  expect((await open().redactorOf(bare('command'))).hideText(text)).toBe(shown)
  expect(open().redactorOfGiven(bare('python')).hideText(text)).toBe(shown)
  expect((await open().redactorOf(bare('training-set'))).hideText(text)).toBe(text)
  const { steps } = openChanging({ PLIMSOLL_SECRET_PASSWORD: 'canary-1' })
  await steps.give(attempt(205n))
  for (const redactor of [await steps.redactorOf(attempt(205n)), steps.redactorOfGiven(attempt(205n))])
    expect(redactor.hideText(`canary-1 ${text}`)).toBe(`******** ${shown}`)
})

test('give() digests values so that neither another attempt nor another key has the same', async () => {
  const { open, steps, attempt } = openChanging({ PLIMSOLL_SECRET_PASSWORD: 'canary-1' })
  const digests = [
    (await steps.give(attempt(202n))).digest,
    (await steps.give(attempt(203n))).digest,
    (await steps.give({ ...attempt(202n), run: 'run_2' })).digest,
    (await open('another').give(attempt(202n))).digest,
  ]
  expect(new Set(digests).size).toBe(4)
  expect((await open().give(attempt(202n))).digest).toBe(digests[0])
  expect((await steps.give({ ...attempt(204n), definition: { key: 'load', kind: 'command' } })).digest).toBeUndefined()
})

test('redactorOf() of an attempt that has just ended knows the value that it had, not a newer one; of many more, and after minutes, it forgets it', async () => {
  const variables: Record<string, string> = {}
  const { steps, attempt } = openChanging(variables)
  const hide = async (fence: bigint) => (await steps.redactorOf(attempt(fence))).hideText('canary-1 canary-2')
  const end = async (fence: bigint) => {
    variables['PLIMSOLL_SECRET_PASSWORD'] = 'canary-1'
    await steps.give(attempt(fence))
    variables['PLIMSOLL_SECRET_PASSWORD'] = 'canary-2'
    steps.forget(fence)
  }
  await end(1n)
  expect(await hide(1n)).toBe('******** canary-2')
  for (let fence = 2n; fence < 100n; fence++) await end(fence)
  await expect(hide(1n)).rejects.toMatchObject({ code: 'pipelines.secret_changed' })
  clock.advance(4 * 60_000)
  await end(100n)
  steps.dropEnded()
  expect(await hide(99n)).toBe('******** canary-2')
  clock.advance(60_000)
  steps.dropEnded()
  await expect(hide(99n)).rejects.toMatchObject({ code: 'pipelines.secret_changed' })
  expect(await hide(100n)).toBe('******** canary-2')
})

/** Secrets of the platform, as a test sets them. */
const secretVariables: Record<string, string | undefined> = {}
let engine: Engine
beforeAll(async () => {
  engine = await openEngine({ secretVariables })
})
afterAll(() => engine.close())

/** Tables of which a row holds the text. */
async function tablesWith(text: string): Promise<string[]> {
  const { db } = engine.ctx
  const tables = await sql<{
    name: string
  }>`select tablename as name from pg_tables where schemaname = 'public'`.execute(db)
  const found: string[] = []
  for (const { name } of tables.rows) {
    const rows = sql`select 1 from ${sql.table(name)} t where strpos(t::text, ${text}) > 0 limit 1`
    if ((await rows.execute(db)).rows.length > 0) found.push(name)
  }
  return found
}

const directoryOf = async (run: string, key: string) =>
  join(engine.directory, 'runs', run, (await readStep(engine.ctx, run, key)).tries.at(-1)!.fence)
/** Its work directory, once the next incarnation of ours can find its process. */
async function startedIn(run: string, key: string): Promise<string> {
  const workDir = await directoryOf(run, key)
  await engine.until(async () => existsSync(join(workDir, 'handle.json')))
  return workDir
}
const runOnce = async (step: PipelineStep, name: string) =>
  engine.ended(await engine.start(await engine.declare([step], { name })))
const logOf = async (run: string, key: string) => (await readLog(engine.ctx, engine, run, key, 0)).bytes.toString()
const WAIT = 'until [ -e seen ] || [ ! -e log ]; do sleep 0.05; done'
const SECRETS = { WAREHOUSE_PASSWORD: 'warehouse-password', SIGNING_KEY: 'signing-key' }

test('what a step prints of its secrets is hidden in its log, while it grows and after, its reason and its progress', async () => {
  const password = 'c\u00e4nary-in-a-step'
  const key = '-----BEGIN\ncanary-of-the-key\n-----END'
  Object.assign(secretVariables, {
    PLIMSOLL_SECRET_WAREHOUSE_PASSWORD: password,
    PLIMSOLL_SECRET_SIGNING_KEY: `${key}\n`,
  })
  const script = `printf '{"t":"progress","fraction":0.5,"message":"with %s"}\n' "$WAREHOUSE_PASSWORD" >> events
    printf 'out %s\n' "$WAREHOUSE_PASSWORD"; printf 'err %s\n' "$SIGNING_KEY" >&2
    printf 'then '; printf %s "$WAREHOUSE_PASSWORD" | head -c 9; ${WAIT}; printf %s "$WAREHOUSE_PASSWORD" | tail -c +10; exit 3`
  const run = await engine.start(
    await engine.declare([shell('leak', script, { secrets: SECRETS })], { name: 'leaking' }),
  )
  const stars = '*'.repeat(Buffer.byteLength(password))
  const half = `out ${stars}\nerr ${'*'.repeat(key.length)}\nthen `
  const progress = async () => (await readRun(engine.ctx, run)).graph[0]!.progress
  await expect.poll(progress, { timeout: 20_000 }).toEqual({ fraction: 0.5, message: `with ${stars}` })
  await expect.poll(() => logOf(run, 'leak'), { timeout: 20_000 }).toBe(half)
  const workDir = await directoryOf(run, 'leak')
  // A secret that changes meanwhile is no other one for the step, which has the old one.
  Object.assign(secretVariables, { PLIMSOLL_SECRET_WAREHOUSE_PASSWORD: 'another password' })
  writeFileSync(join(workDir, 'seen'), '')
  const ended = await engine.ended(run)
  expect(ended.graph[0]!.reason).toBe(`The step ended with exit code 3:\n${half}${stars}`)
  expect(await logOf(run, 'leak')).toBe(`${half}${stars}`)
  expect(readFileSync(join(workDir, 'log'), 'utf8')).toContain(password)
  for (const canary of [password, 'canary-of-the-key']) {
    expect(await tablesWith(canary)).toEqual([])
    expect(await filesWith(canary, join(engine.directory, 'blobs'))).toEqual([])
    const left = (await filesWith(canary, workDir)).map((path) => path.slice(workDir.length + 1)).sort()
    expect(left).toEqual(canary === password ? ['events', 'log'] : ['log'])
  }
})

test('a reason that names what a step left has no secret either', async () => {
  const value = 'canary-as-a-name'
  secretVariables['PLIMSOLL_SECRET_NAME'] = value
  const script = `mkdir -p ${outPath('tree')}; ln -s /etc/passwd ${outPath('tree')}/x-$NAME`
  const run = await runOnce(
    shell('named', script, { secrets: { NAME: 'name' }, outputs: { tree: 'directory' } }),
    'named-output',
  )
  expect(run.graph[0]!.reason).toContain(`holds "x-${'*'.repeat(value.length)}", which is no regular file`)
  expect(await tablesWith(value)).toEqual([])
})

test('a secret that changes makes no step run again, and a step has no variable that could be one', async () => {
  const once = async (value: string) => {
    secretVariables['PLIMSOLL_SECRET_TOKEN_OF_X'] = value
    const script = `env | cut -d= -f1; printf %s "\${#TOKEN}" > ${outPath('length')}`
    return runOnce(shell('env', script, { secrets: { TOKEN: 'token-of-x' }, outputs: { length: 'json' } }), 'named')
  }
  const run = await once('a first value')
  const names = (await logOf(run.id, 'env')).trim().split('\n')
  expect(names).toContain('TOKEN')
  const isFree = (name: string) =>
    pipelineStep.safeParse({ key: 'a', kind: 'command', secrets: { [name]: 'a' } }).success
  expect(names.filter(isFree)).toEqual(['TOKEN'])
  expect((await once('the second value')).graph[0]!.state).toBe('cached')
})

test('a step without one of its secrets, or with one that is too short to hide, fails for good and never starts', async () => {
  Object.assign(secretVariables, { PLIMSOLL_SECRET_HERE: 'a long one', PLIMSOLL_SECRET_PIN: '12345' })
  const failed = async (secrets: Record<string, string>) => {
    const run = await runOnce(shell('never', 'touch started', { secrets, retries: 3 }), 'missing')
    const { tries, reason } = await readStep(engine.ctx, run.id, 'never')
    expect(tries).toMatchObject([{ state: 'failed', failureClass: 'config', logBytes: null }])
    expect(existsSync(await directoryOf(run.id, 'never'))).toBe(false)
    return reason
  }
  expect(await failed({ A: 'here', B: 'not-there', C: 'nor-there' })).toBe(
    'Cannot give step never its secrets: project default has no not-there, nor-there. Set not-there. Set nor-there',
  )
  expect(await failed({ A: 'here', B: 'pin' })).toMatch(
    /^Cannot give step never its secrets: pin \(environment\) of project default has fewer than 6 characters/,
  )
})

test('the token of an attempt is hidden in what its step prints, also after a restart', async () => {
  const print = 'env | grep ^MLFLOW_TRACKING_TOKEN='
  const run = await engine.start(
    await engine.declare([shell('env', `${print}; ${WAIT}; ${print} >&2; exit 3`)], { name: 'token' }),
  )
  await engine.until(async () => (await readStep(engine.ctx, run, 'env')).tries.length > 0)
  const { fence } = (await readStep(engine.ctx, run, 'env')).tries[0]!
  const token = attemptTokenOf({ fence })
  const line = `MLFLOW_TRACKING_TOKEN=${'*'.repeat(token.length)}\n`
  await expect.poll(() => logOf(run, 'env'), { timeout: 20_000 }).toBe(line)
  const workDir = await startedIn(run, 'env')
  await engine.restart()
  expect(await logOf(run, 'env')).toBe(line)
  writeFileSync(join(workDir, 'seen'), '')
  const ended = await engine.ended(run)
  expect(ended.graph[0]!.reason).toBe(`The step ended with exit code 3:\n${line}${line.trimEnd()}`)
  expect(await logOf(run, 'env')).toBe(`${line}${line}`)
  expect(readFileSync(join(workDir, 'log'), 'utf8')).toContain(token)
  expect(await tablesWith(token)).toEqual([])
  expect(await filesWith(token, join(engine.directory, 'blobs'))).toEqual([])
})

test('after a restart secrets are read again to hide them; without one, or with another value, the log is withheld', async () => {
  const value = 'canary-of-a-restart'
  const name = 'PLIMSOLL_SECRET_RESTARTED'
  const script = `printf 'one %s\n' "$A"; ${WAIT}; printf 'two %s\n' "$A"; exit 3`
  for (const [after, refused] of [
    [value, undefined],
    [undefined, 'pipelines.secret_missing'],
    ['another one by now', 'pipelines.secret_changed'],
  ]) {
    secretVariables[name] = value
    const step = shell('leak', script, { secrets: { A: 'restarted' } })
    const run = await engine.start(await engine.declare([step], { name: 'restarted' }))
    const stars = '*'.repeat(value.length)
    await expect.poll(() => logOf(run, 'leak'), { timeout: 20_000 }).toBe(`one ${stars}\n`)
    const workDir = await startedIn(run, 'leak')
    secretVariables[name] = after
    await engine.restart()
    if (refused === undefined) expect(await logOf(run, 'leak')).toBe(`one ${stars}\n`)
    else await expect(logOf(run, 'leak')).rejects.toMatchObject({ code: refused })
    writeFileSync(join(workDir, 'seen'), '')
    const { reason } = (await engine.ended(run)).graph[0]!
    expect(reason).toContain(refused === undefined ? `two ${stars}` : 'its log is withheld')
    expect(await logOf(run, 'leak')).toMatch(
      refused === undefined ? `one ${stars}\ntwo ${stars}\n` : /^The log is withheld/,
    )
    expect(readFileSync(join(workDir, 'log'), 'utf8')).toBe(`one ${value}\ntwo ${value}\n`)
  }
  expect(await tablesWith(value)).toEqual([])
  expect(await filesWith(value, join(engine.directory, 'blobs'))).toEqual([])
})
