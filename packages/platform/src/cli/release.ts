import { type ReleaseView, releaseView, routeView } from '@plimsoll/sdk/wire'
import type { Command } from 'commander'
import { PlimsollError } from '../kernel/errors.ts'
import { segment, wholeNumber } from './argument.ts'
import { addCommand } from './command.ts'
import { type Connection, connect } from './connection.ts'
import { UsageError } from './exit-code.ts'

interface ReleaseFlags {
  environment?: string
  reason?: string
  from?: string
}

const OPTIONS: readonly [string, string][] = [
  ['--environment <name>', 'environment (default: production)'],
  ['--reason <text>', 'why; goes into the audit'],
  ['--from <version>', 'only while this version serves, so that of two people the second is refused'],
]

/** What is decided here, the gateways learn from their next snapshot. */
const SOON = 'gateways take it within seconds'

/** Environment, reason, and with `--from` the artifact that must still serve when the route is moved. */
async function moveOf(
  { client }: Connection,
  route: string | undefined,
  options: ReleaseFlags,
): Promise<{ environment: string; reason: string; expected?: string }> {
  const environment = options.environment ?? 'production'
  if (!options.reason)
    throw new UsageError(`Cannot move ${route}: --reason is not given`, 'Say why: it is kept for ever')
  const move = { environment, reason: options.reason }
  if (options.from === undefined) return move
  const from = wholeNumber(options.from, '--from')
  const { assignment } = await client.call({
    path: `/api/v1/routes/${segment(route, 'route')}?environment=${encodeURIComponent(environment)}`,
    schema: routeView,
  })
  if (assignment?.version === from) return { ...move, expected: assignment.artifact }
  const serving = assignment ? `version ${assignment.version}` : 'nothing'
  throw new PlimsollError(
    'precondition',
    'delivery.route_moved',
    `Cannot move ${route}: expected version ${from} to serve, found ${serving}`,
    { action: 'Somebody has moved it; look at what it serves, and leave out --from to move it all the same' },
  )
}

/** `release`, `rollback` and `retire`: the manual path. */
export function addRelease(program: Command): void {
  addCommand<ReleaseFlags>(program, {
    use: 'release <route> [version]',
    summary: 'let a route serve a model version, as a named approver',
    example: 'plimsoll release flight-delay 2 --reason "better on the April holdout" --token-file ada.token',
    options: OPTIONS,
    action: async ({ io, options, args }) => {
      const connection = connect(options)
      if (args[1] === undefined)
        throw new UsageError(
          `Cannot release ${args[0]}: expected a route and a version`,
          'plimsoll release ROUTE VERSION --reason WHY --token-file APPROVER.token',
        )
      const version = wholeNumber(args[1], 'a version')
      const released = await connection.client.call({
        method: 'POST',
        path: `/api/v1/routes/${segment(args[0], 'route')}/releases`,
        body: { version, ...(await moveOf(connection, args[0], options)) },
        schema: releaseView,
      })
      const before = released.fromArtifact === released.artifact ? 'still ' : ''
      io.answer(
        released,
        `${released.route} ${before}serves ${released.model}/${released.version} in ${released.environment} (release ${released.id}${released.isSelfApproved ? ', self-approved' : ''}); ${SOON}`,
      )
    },
  })
  addRouteMove(program, {
    verb: 'rollback',
    summary: 'return a route to what it served before',
    example: 'plimsoll rollback flight-delay --reason "late share doubled" --token-file ada.token',
    textOf: ({ route, model, version, id }) => `${route} serves ${model}/${version} again (release ${id}); ${SOON}`,
  })
  addRouteMove(program, {
    verb: 'retire',
    summary: 'end what a route serves; it stays declared until the project drops it',
    example: 'plimsoll retire flight-delay --reason "replaced by flight-risk" --token-file ada.token',
    textOf: ({ route, environment, model, version }) =>
      `${route} serves nothing in ${environment} any more; it served ${model}/${version}; ${SOON}`,
  })
}

/** A command that moves a route by what it has served, and names no version. */
function addRouteMove(
  program: Command,
  move: {
    verb: 'rollback' | 'retire'
    summary: string
    example: string
    textOf: (moved: ReleaseView) => string
  },
): void {
  addCommand<ReleaseFlags>(program, {
    use: `${move.verb} <route>`,
    summary: move.summary,
    example: move.example,
    options: OPTIONS,
    action: async ({ io, options, args }) => {
      const connection = connect(options)
      const moved = await connection.client.call({
        method: 'POST',
        path: `/api/v1/routes/${segment(args[0], 'route')}/${move.verb}`,
        body: await moveOf(connection, args[0], options),
        schema: releaseView,
      })
      io.answer(moved, move.textOf(moved))
    },
  })
}
