import { planView } from '@plimsoll/sdk/wire'
import type { Command } from 'commander'
import { addCommand } from './command.ts'
import { connect } from './connection.ts'
import { changeLines } from './plan-text.ts'

export function addApply(program: Command): void {
  addCommand<{ prune?: boolean; plan?: string }>(program, {
    use: 'apply [folder]',
    summary: 'make the server hold what the project declares',
    example: 'plimsoll apply',
    options: [
      ['--prune', 'also delete what this project declared before and no longer does'],
      ['--plan <digest>', 'refuse unless this is the plan that plimsoll plan --json gave'],
    ],
    action: async ({ io, options, args }) => {
      const { collectProject } = await import('../definitions/client/index.ts')
      const { content, blobs } = await collectProject(args[0] ?? '.')
      const { client } = connect(options)
      const prune = options.prune === true
      const plan = await client.call({
        method: 'POST',
        path: '/api/v1/plan',
        body: { content, prune },
        schema: planView,
        isIdempotent: true,
      })
      let sent = 0
      for (const digest of plan.missingBlobs) {
        const bytes = blobs.get(digest)
        if (bytes === undefined) continue
        await client.call({ method: 'PUT', path: `/api/v1/blobs/${digest}`, bytes })
        io.progress(++sent / plan.missingBlobs.length, 'sending code')
      }
      io.endProgress()
      const applied = await client.call({
        method: 'POST',
        path: '/api/v1/apply',
        body: { content, prune, plan: options.plan ?? plan.digest },
        schema: planView,
      })
      io.answer(applied, [...changeLines(applied), 'Applied.'])
    },
  })
}
