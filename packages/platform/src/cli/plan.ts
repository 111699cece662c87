import { planView } from '@plimsoll/sdk/wire'
import type { Command } from 'commander'
import { addCommand } from './command.ts'
import { connect } from './connection.ts'
import { changeLines } from './plan-text.ts'

export function addPlan(program: Command): void {
  addCommand<{ prune?: boolean }>(program, {
    use: 'plan [folder]',
    summary: 'show what apply would change on the server',
    example: 'plimsoll plan',
    options: [['--prune', 'also delete what this project declared before and no longer does']],
    action: async ({ io, options, args }) => {
      const { collectProject } = await import('../definitions/client/index.ts')
      const { content } = await collectProject(args[0] ?? '.')
      const plan = await connect(options).client.call({
        method: 'POST',
        path: '/api/v1/plan',
        body: { content, prune: options.prune === true },
        schema: planView,
        isIdempotent: true,
      })
      io.answer(plan, changeLines(plan))
    },
  })
}
