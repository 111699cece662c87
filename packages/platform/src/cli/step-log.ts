import type { Client } from '@plimsoll/sdk/client'
import { runView } from '@plimsoll/sdk/wire'
import type { Command } from 'commander'
import { realClock } from '../kernel/clock.ts'
import { segment } from './argument.ts'
import { addCommand } from './command.ts'
import { connect } from './connection.ts'
import { printable } from './io.ts'

const POLL_MS = 500

/** Reads a step's log from its start, piece by piece; with `isFollowed` until the step has ended. */
async function readLog(
  client: Client,
  path: string,
  isFollowed: boolean,
  onText: (text: string) => void,
): Promise<void> {
  const decoder = new TextDecoder()
  for (let offset = 0, isEnd = false; !isEnd; ) {
    const response = await client.fetch({ path, query: { offset } })
    onText(decoder.decode(await response.arrayBuffer(), { stream: true }))
    const next = Number(response.headers.get('x-plimsoll-next-offset'))
    isEnd = response.headers.get('x-plimsoll-end') === '1' || (next === offset && !isFollowed)
    if (next === offset && !isEnd) await realClock.sleep(POLL_MS)
    offset = next
  }
  onText(decoder.decode())
}

/** `logs <run> [step]`. */
export function addLogs(program: Command): void {
  addCommand<{ follow?: boolean }>(program, {
    use: 'logs <run> [step]',
    summary: 'print the log of a step, or of every step of a run',
    example: 'plimsoll logs run_01… fit --follow',
    options: [['--follow', 'wait for more until the step ends']],
    action: async ({ io, options, args }) => {
      const { client } = connect(options)
      const path = `/api/v1/runs/${segment(args[0], 'run')}`
      const steps =
        args[1] === undefined ? (await client.call({ path, schema: runView })).graph.map((step) => step.key) : [args[1]]
      const logs: Record<string, string> = {}
      for (const step of steps) {
        if (steps.length > 1 && !io.isJson) process.stdout.write(`── ${printable(step)}\n`)
        let text = ''
        await readLog(client, `${path}/steps/${segment(step, 'step')}/log`, options.follow === true, (piece) => {
          if (io.isJson) text += piece
          else process.stdout.write(piece)
        })
        logs[step] = text
      }
      if (io.isJson) io.answer({ logs }, '')
    },
  })
}
