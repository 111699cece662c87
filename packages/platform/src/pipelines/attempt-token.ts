import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto'
import type { IdentityProvider, ProvenIdentity } from '@plimsoll/sdk/seams'
import type { Context } from '../kernel/db/index.ts'
import { PlimsollError } from '../kernel/errors.ts'
import type { ClaimedStep } from './store.ts'
import { ensureTrackedRunOf } from './tracked-run.ts'

export interface AttemptTokens {
  /** By this token the program of an attempt writes its step's tracked run, as long as the attempt goes on. */
  tokenOf(step: Pick<ClaimedStep, 'run' | 'fence'>): string
  /** Reads such tokens. */
  readonly provider: IdentityProvider
}

const PREFIX = 'plimstep_'
const FORM = /^plimstep_([1-9]\d{0,17})_([0-9A-Za-z_-]{43})$/
const KEY_BYTES = 32
const PURPOSE = 'plimsoll attempt token'

/**
 * Tokens that nothing has to store: a keyed digest of the attempt's name. One ends with its attempt, whose row is looked
 * at each time. `secret` is this installation's own.
 */
export function openAttemptTokens(ctx: Context, secret: string): AttemptTokens {
  const key = Buffer.from(hkdfSync('sha256', secret, '', PURPOSE, KEY_BYTES))
  const digestOf = (run: string, fence: string) =>
    createHmac('sha256', key).update(`${run}/${fence}`).digest('base64url')
  return {
    tokenOf: ({ run, fence }) => `${PREFIX}${fence}_${digestOf(run, String(fence))}`,
    provider: {
      name: 'attempts',
      identify: async ({ scheme, value }) =>
        scheme === 'bearer' && value.startsWith(PREFIX) ? identifyAttempt(ctx, value, digestOf) : undefined,
    },
  }
}

async function identifyAttempt(
  ctx: Context,
  token: string,
  digestOf: (run: string, fence: string) => string,
): Promise<ProvenIdentity> {
  const [, fence, digest] = FORM.exec(token) ?? []
  const attempt = fence === undefined ? undefined : await findAttempt(ctx, BigInt(fence))
  if (!attempt || !timingSafeEqual(Buffer.from(digestOf(attempt.run, fence!)), Buffer.from(digest!)))
    throw new PlimsollError('unauthenticated', 'auth.token_unknown', 'The token is not known here')
  if (attempt.finished_at !== null) throw expired()
  const trackedRun = attempt.tracked_run ?? (await ensureTrackedRunOf(ctx, attempt))
  if (trackedRun === undefined) throw expired()
  return {
    principal: { id: `run:${trackedRun}`, kind: 'run', named: false, proof: `attempt:${fence}` },
    project: attempt.project, // MLflow's client names none
    roleOn: async (project) => (project === attempt.project ? 'viewer' : undefined),
  }
}

function expired(): PlimsollError {
  return new PlimsollError('unauthenticated', 'auth.token_expired', 'The token has ended with its attempt')
}

async function findAttempt(ctx: Context, fence: bigint) {
  return ctx.db
    .selectFrom('attempt as a')
    .innerJoin('step as s', (join) => join.onRef('s.run', '=', 'a.run').onRef('s.key', '=', 'a.key'))
    .select(['a.project', 'a.run', 'a.key', 'a.fence', 'a.finished_at', 's.tracked_run'])
    .where('a.fence', '=', fence)
    .executeTakeFirst()
}
