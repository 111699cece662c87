import { runView } from '@plimsoll/sdk/wire'
import type { Command } from 'commander'
import { realClock } from '../kernel/clock.ts'
import { addCommand } from './command.ts'
import { connect } from './connection.ts'

const POLL_MS = 500

/** `logs <run> [step]`. */
export function addLogs(program: Command): void {
  addCommand<{ follow?: boolean }>(program, {
    use: 'logs <run> [step]',
    summary: 'print the log of a step, or of every step of a run',
    example: 'plimsoll logs run_01… fit --follow',
    options: [['--follow', 'wait for more until the step ends']],
    action: async ({ io, options, args }) => {
      const { client } = connect(options)
      const steps =
        args[1] === undefined
          ? (await client.call({ path: `/api/v1/runs/${args[0]}`, schema: runView })).graph.map((step) => step.key)
          : [args[1]]
      const logs: Record<string, string> = {}
      for (const step of steps) {
        if (steps.length > 1 && !io.isJson) process.stdout.write(`── ${step}\n`)
        let text = ''
        for (let offset = 0, isEnd = false; !isEnd; ) {
          const response = await client.fetch({ path: `/api/v1/runs/${args[0]}/steps/${step}/log`, query: { offset } })
          const chunk = await response.text()
          const next = Number(response.headers.get('x-plimsoll-next-offset'))
          isEnd = response.headers.get('x-plimsoll-end') === '1' || (next === offset && options.follow !== true)
          if (io.isJson) text += chunk
          else process.stdout.write(chunk)
          if (next === offset && !isEnd) await realClock.sleep(POLL_MS)
          offset = next
        }
        logs[step] = text
      }
      if (io.isJson) io.answer({ logs }, '')
    },
  })
}
