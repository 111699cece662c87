import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  IDENTITY_PROVIDER_CONTRACT,
  type IdentityProviderSubject,
} from '../../../sdk/src/seams/identity-provider.contract.ts'
import { presented } from '../kernel/auth/presented.fixture.ts'
import { openTestDatabase, type TestDatabase } from '../kernel/db/database.fixture.ts'
import { findExperimentByName, setExperimentLifecycle } from '../tracking/experiment.ts'
import { requireTrackedRun } from '../tracking/index.ts'
import { type AttemptTokens, openAttemptTokens } from './attempt-token.ts'
import { goingAttempt, PIPELINE_DIGEST } from './going-attempt.fixture.ts'
import { trackedRunOf } from './tracked-run.ts'

let database: TestDatabase
let tokens: AttemptTokens
beforeAll(async () => {
  database = await openTestDatabase()
  tokens = openAttemptTokens(database.ctx, 'secret')
})
afterAll(() => database.close())

const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
/** The last character of 32 bytes has two bits of no meaning. */
const otherSpelling = (last: string, bits: number) => BASE64URL[BASE64URL.indexOf(last) + bits]!

const read = (value: string, scheme = 'bearer') => tokens.provider.identify(presented(value, { scheme }))

const runIds = async () => (await database.ctx.db.selectFrom('tracked_run').select('id').execute()).map(({ id }) => id)

test('a token speaks for the tracked run of its step, in its project only', async () => {
  const attempt = await goingAttempt(database.ctx, 7n)
  const id = `run:${trackedRunOf(attempt)}`
  const identity = await read(tokens.tokenOf(attempt))
  expect(identity?.principal).toEqual({ id, kind: 'run', named: false, proof: 'attempt:7' })
  expect(identity?.project).toBe('default')
  expect([await identity?.roleOn('default'), await identity?.roleOn('other')]).toEqual(['viewer', undefined])
  expect((await read(tokens.tokenOf(attempt)))?.principal.id).toBe(id)
})

test('the tracked run is made when the token is first used, once', async () => {
  const attempt = await goingAttempt(database.ctx, 11n)
  const before = await runIds()
  const token = tokens.tokenOf(attempt)
  await Promise.all([read(token), read(token), read(token)])
  const id = trackedRunOf(attempt)
  expect(await runIds()).toEqual([...before, id])
  expect(await requireTrackedRun(database.ctx, id)).toMatchObject({
    name: 'fit',
    status: 'RUNNING',
    tags: [
      { key: 'mlflow.runName', value: 'fit' },
      { key: 'plimsoll.pipeline', value: PIPELINE_DIGEST },
      { key: 'plimsoll.run', value: 'run_11' },
      { key: 'plimsoll.step', value: 'fit' },
    ],
  })
})

test('a token makes no tracked run once its step has ended or another attempt holds it', async () => {
  const attempt = await goingAttempt(database.ctx, 12n)
  const before = await runIds()
  for (const change of [{ state: 'succeeded' as const }, { state: 'running' as const, fence: 13n }]) {
    await database.ctx.db.updateTable('step').set(change).where('run', '=', attempt.run).execute()
    await expect(read(tokens.tokenOf(attempt))).rejects.toMatchObject({ code: 'auth.token_expired' })
  }
  expect(await runIds()).toEqual(before)
})

test('a step whose experiment is deleted is told so when it tracks something', async () => {
  const experiment = await findExperimentByName(database.ctx, 'p')
  await setExperimentLifecycle(database.ctx, experiment!.id, 'deleted')
  const token = tokens.tokenOf(await goingAttempt(database.ctx, 14n))
  await expect(read(token)).rejects.toMatchObject({ code: 'tracking.experiment_deleted' })
  await setExperimentLifecycle(database.ctx, experiment!.id, 'active')
  expect((await read(token))?.principal.kind).toBe('run')
})

test('a token ends with its attempt', async () => {
  const token = tokens.tokenOf(await goingAttempt(database.ctx, 8n))
  await database.ctx.db.updateTable('attempt').set({ finished_at: new Date() }).where('fence', '=', 8n).execute()
  await expect(read(token)).rejects.toMatchObject({ kind: 'unauthenticated', code: 'auth.token_expired' })
})

test('a token of another secret, attempt or form is not known; what is no such token is left to others', async () => {
  const attempt = await goingAttempt(database.ctx, 9n)
  const token = tokens.tokenOf(attempt)
  const foreign = [
    openAttemptTokens(database.ctx, 'other').tokenOf(attempt),
    tokens.tokenOf({ ...attempt, run: 'run_8' }),
    tokens.tokenOf({ ...attempt, fence: 10n }),
    token.replace('_9_', '_09_'),
    token.slice(0, -1),
    ...[1, 2, 3].map((bits) => `${token.slice(0, -1)}${otherSpelling(token.at(-1)!, bits)}`),
    `${token}x`,
    'plimstep_9_',
    `plimstep_${'9'.repeat(30)}_${token.slice(-43)}`,
  ]
  for (const text of foreign) await expect(read(text)).rejects.toMatchObject({ code: 'auth.token_unknown' })
  expect([await read('plim_x'), await read(token, 'basic')]).toEqual([undefined, undefined])
})

let fences = 100n
const nextAttempt = () => goingAttempt(database.ctx, fences++)
const finish = ({ fence }: { fence: bigint }) =>
  database.ctx.db.updateTable('attempt').set({ finished_at: new Date() }).where('fence', '=', fence).execute()

async function openSubject(): Promise<IdentityProviderSubject> {
  const attempts = { first: await nextAttempt(), second: await nextAttempt() }
  const of = (attempt: typeof attempts.first) => presented(tokens.tokenOf(attempt))
  return {
    provider: tokens.provider,
    declares: {
      kind: 'run',
      named: false,
      isOneUse: false,
      isForOneRequest: false,
      isRevocable: true,
      isNameClaimed: false,
    },
    otherProject: 'other',
    make: async (person = 'first') => ({
      presented: of(attempts[person]),
      id: `run:${trackedRunOf(attempts[person])}`,
      role: 'viewer',
    }),
    makeExpired: async () => {
      const attempt = await nextAttempt()
      await finish(attempt)
      return of(attempt)
    },
    makeUnknown: async () => presented(openAttemptTokens(database.ctx, 'other').tokenOf(attempts.first)),
    revoke: async () => {
      await finish(attempts.first)
    },
  }
}

test.each(IDENTITY_PROVIDER_CONTRACT)('contract: $name', ({ run }) => run(openSubject))
