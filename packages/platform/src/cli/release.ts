import { releaseView } from '@plimsoll/sdk/wire'
import type { Command } from 'commander'
import { segment, wholeNumber } from './argument.ts'
import { addCommand } from './command.ts'
import { connect } from './connection.ts'

interface ReleaseFlags {
  environment?: string
  reason?: string
}

const OPTIONS: readonly [string, string][] = [
  ['--environment <name>', 'environment (default: production)'],
  ['--reason <text>', 'why'],
]

/** `release`, `rollback` and `retire`: the manual path. */
export function addRelease(program: Command): void {
  addCommand<ReleaseFlags>(program, {
    use: 'release <route> <version>',
    summary: 'let a route serve a model version, as a named approver',
    example: 'plimsoll release flight-delay 2 --reason "better on the April holdout" --token-file ada.token',
    options: OPTIONS,
    action: async ({ io, options, args }) => {
      const released = await connect(options).client.call({
        method: 'POST',
        path: `/api/v1/routes/${segment(args[0], 'route')}/releases`,
        body: {
          version: wholeNumber(args[1], 'a version'),
          environment: options.environment ?? 'production',
          reason: options.reason ?? 'released by hand',
        },
        schema: releaseView,
      })
      io.answer(
        released,
        `${released.route} serves ${released.model}/${released.version} in ${released.environment} (release ${released.id}, epoch ${released.epoch}${released.isSelfApproved ? ', self-approved' : ''})`,
      )
    },
  })
  addCommand<ReleaseFlags>(program, {
    use: 'rollback <route>',
    summary: 'return a route to what it served before',
    example: 'plimsoll rollback flight-delay --reason "late share doubled" --token-file ada.token',
    options: OPTIONS,
    action: async ({ io, options, args }) => {
      const released = await connect(options).client.call({
        method: 'POST',
        path: `/api/v1/routes/${segment(args[0], 'route')}/rollback`,
        body: { environment: options.environment ?? 'production', reason: options.reason ?? 'rolled back by hand' },
        schema: releaseView,
      })
      io.answer(
        released,
        `${released.route} serves ${released.model}/${released.version} again (release ${released.id}, epoch ${released.epoch})`,
      )
    },
  })
  addCommand<ReleaseFlags>(program, {
    use: 'retire <route>',
    summary: 'end what a route serves; it stays declared until the project drops it',
    example: 'plimsoll retire flight-delay --reason "replaced by flight-risk" --token-file ada.token',
    options: OPTIONS,
    action: async ({ io, options, args }) => {
      const retired = await connect(options).client.call({
        method: 'POST',
        path: `/api/v1/routes/${segment(args[0], 'route')}/retire`,
        body: { environment: options.environment ?? 'production', reason: options.reason ?? 'retired by hand' },
        schema: releaseView,
      })
      io.answer(
        retired,
        `${retired.route} serves nothing in ${retired.environment} any more; it served ${retired.model}/${retired.version} (epoch ${retired.epoch})`,
      )
    },
  })
}
