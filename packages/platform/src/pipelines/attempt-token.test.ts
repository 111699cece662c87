import { afterAll, beforeAll, expect, test } from 'vitest'
import { openTestDatabase, type TestDatabase } from '../kernel/db/database.fixture.ts'
import { type AttemptTokens, openAttemptTokens } from './attempt-token.ts'
import { goingAttempt } from './going-attempt.fixture.ts'

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

const read = (value: string, scheme = 'bearer') => tokens.scheme(undefined as never, { scheme, value }, 'default')

test('a token speaks for the tracked run of its step, in its project only', async () => {
  const identity = await read(tokens.tokenOf(await goingAttempt(database.ctx, 7n)))
  expect(identity?.principal).toEqual({ id: 'run:run_7', kind: 'run', named: false, proof: 'attempt:7' })
  expect([await identity?.roleOn('default'), await identity?.roleOn('other')]).toEqual(['viewer', undefined])
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
