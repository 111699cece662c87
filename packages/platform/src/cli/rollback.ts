import { releaseView } from '@plimsoll/sdk/wire'
import type { Command } from 'commander'
import { addCommand } from './command.ts'
import { connect } from './connection.ts'
import { UsageError } from './exit-code.ts'

export function addRollback(program: Command): void {
  addCommand<{ environment?: string; reason?: string }>(program, {
    use: 'rollback <route>',
    summary: 'return a route to the version that served before, as a named approver',
    example: 'plimsoll rollback flight-delay --reason "late flights are missed"',
    options: [
      ['--environment <name>', 'where (default: production)'],
      ['--reason <text>', 'why; it is kept with the release'],
    ],
    action: async ({ io, options, args }) => {
      if (options.reason === undefined) throw new UsageError('A rollback needs a reason', 'Add --reason "…"')
      const body = { environment: options.environment ?? 'production', reason: options.reason }
      const released = await connect(options).client.call({
        method: 'POST',
        path: `/api/v1/routes/${encodeURIComponent(args[0]!)}/rollback`,
        body,
        schema: releaseView,
      })
      io.answer(
        released,
        `${released.model}/${released.version} serves on ${released.route} again: release ${released.id}, epoch ${released.epoch}`,
      )
    },
  })
}
