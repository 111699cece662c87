import { releaseView } from '@plimsoll/sdk/wire'
import type { Command } from 'commander'
import { addCommand } from './command.ts'
import { connect } from './connection.ts'
import { UsageError } from './exit-code.ts'

export function addRelease(program: Command): void {
  addCommand<{ environment?: string; reason?: string; to?: string }>(program, {
    use: 'release <route> <version>',
    summary: 'let a version of the route’s model serve, as a named approver',
    example: 'plimsoll release flight-delay 3 --reason "better on May" --token-file ~/.plimsoll-token',
    options: [
      ['--environment <name>', 'where (default: production)'],
      ['--reason <text>', 'why; it is kept with the release'],
    ],
    action: async ({ io, options, args }) => {
      const version = Number(args[1]?.split('/').at(-1))
      if (!Number.isInteger(version) || version < 1)
        throw new UsageError(`Cannot read the version "${args[1]}"`, 'Give its number, for example 3')
      if (options.reason === undefined) throw new UsageError('A release needs a reason', 'Add --reason "…"')
      const body = { version, environment: options.environment ?? 'production', reason: options.reason }
      const released = await connect(options).client.call({
        method: 'POST',
        path: `/api/v1/routes/${encodeURIComponent(args[0]!)}/releases`,
        body,
        schema: releaseView,
      })
      io.answer(
        released,
        `${released.model}/${released.version} serves on ${released.route} in ${released.environment}: release ${released.id}, epoch ${released.epoch}, by ${released.actor}${released.isSelfApproved ? ' (self-approved)' : ''}`,
      )
    },
  })
}
