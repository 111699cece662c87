import type { PassportGap } from '@plimsoll/sdk/wire'
import type { Command } from 'commander'
import { addCommand } from './command.ts'
import { connect } from './connection.ts'
import { versionPath } from './model.ts'

export function addApprove(program: Command): void {
  addCommand<{ environment?: string; comment?: string }>(program, {
    use: 'approve <model/version>',
    summary: 'approve a version for an environment, as a named person',
    example: 'plimsoll approve flight-delay/3 --comment "AUC holds on May" --token-file ~/.plimsoll-token',
    options: [
      ['--environment <name>', 'for which environment (default: production)'],
      ['--comment <text>', 'why'],
    ],
    action: async ({ io, options, args }) => {
      const body = { environment: options.environment ?? 'production', comment: options.comment ?? '' }
      const answer = (await connect(options).client.call({
        method: 'POST',
        path: `${versionPath(args[0])}/approvals`,
        body,
      })) as { approval: { by: string; isSelfApproved: boolean }; gaps: PassportGap[] } // the endpoint's contract
      io.answer(answer, [
        `${args[0]} is approved for ${body.environment} by ${answer.approval.by}${answer.approval.isSelfApproved ? ' (self-approved)' : ''}`,
        ...answer.gaps.map((gap) => `  still lacks ${gap.field}: ${gap.detail} — ${gap.command}`),
      ])
    },
  })
}
