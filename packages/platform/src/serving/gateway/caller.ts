import type { IncomingMessage } from 'node:http'
import { ASK_FOR_TOKEN, hashToken, SEND_TOKEN } from '../../kernel/auth/verify/index.ts'
import type { Clock } from '../../kernel/clock.ts'
import { PlimsollError } from '../../kernel/errors.ts'
import { ERRORS_PATH } from '../../kernel/http/error-page.ts'
import { type Caller, type LiveState, routeKey } from './live-state.ts'

/** What balances and restarts in front has no token, and these say nothing of routes. */
const OPEN = new Set(['ping', 'health', 'v2/health/live', 'v2/health/ready', ERRORS_PATH.slice(1)])
const ALL_PROJECTS = '*'

/** The route that a path names; undefined where it names none. */
function routeOf([first, second, third]: readonly string[], { routes }: LiveState): string | undefined {
  if (first === 'v2') return second === 'models' ? third : undefined
  if (first === 'invocations' && second === undefined && routes.size === 1) return [...routes.keys()][0]
  return first === 'predict' || first === 'invocations' ? second : undefined
}

/** Of which project a route is, also one that is not ready here. */
function projectOf(name: string, { routes, snapshot }: LiveState): string | undefined {
  return (
    routes.get(name)?.route.project ??
    snapshot.routes.find((route) => routeKey(route.name, route.environment) === name)?.project
  )
}

function callerOf(request: IncomingMessage, live: LiveState | undefined, clock: Clock): Caller {
  const [, token] = /^bearer +(\S+) *$/i.exec(request.headers.authorization ?? '') ?? []
  if (token === undefined)
    throw new PlimsollError('unauthenticated', 'auth.token_missing', 'This gateway asks for a token', {
      action: SEND_TOKEN,
    })
  if (!live)
    throw new PlimsollError('unavailable', 'serving.no_snapshot', 'This gateway has no snapshot yet', {
      retryAfterMs: 1_000,
    })
  const caller = live.callers.get(hashToken(token))
  if (caller === undefined)
    throw new PlimsollError('unauthenticated', 'auth.token_unknown', 'The token is not known here, or was revoked', {
      action: ASK_FOR_TOKEN,
    })
  // Tokens live in real time, also under a replay clock.
  if (caller.expiresAtMs <= clock.nowMs())
    throw new PlimsollError('unauthenticated', 'auth.token_expired', 'The token has expired', {
      action: ASK_FOR_TOKEN,
    })
  return caller
}

/**
 * Lets a request pass whose token has a role, whichever, on the project of the route that it names. A route of another
 * project is as unknown as one that is not there; what shows all routes asks for a token of all projects.
 *
 * @throws unauthenticated auth.token_missing · auth.token_unknown · auth.token_expired · forbidden auth.scope_missing ·
 * not_found serving.route_unknown · unavailable serving.no_snapshot
 */
export function demandCaller(
  request: IncomingMessage,
  segments: readonly string[],
  live: LiveState | undefined,
  clock: Clock,
): void {
  const path = segments.join('/')
  if (OPEN.has(path)) return
  const caller = callerOf(request, live, clock)
  if (caller.project === ALL_PROJECTS || !live || path === 'v2') return
  const name = routeOf(segments, live)
  if (name === undefined)
    throw new PlimsollError('forbidden', 'auth.scope_missing', 'This shows all projects, and the token is for one', {
      action: 'Ask the operator for a token of all: plimsoll token create NAME --role viewer --all-projects',
    })
  if (projectOf(name, live) !== caller.project)
    throw new PlimsollError('not_found', 'serving.route_unknown', `Cannot find route "${name.slice(0, 130)}"`, {
      action: 'Name a route of the project of the token',
    })
}
