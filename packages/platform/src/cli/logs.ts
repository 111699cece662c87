import type { Client } from '@plimsoll/sdk/client'
import { runView } from '@plimsoll/sdk/wire'
import type { Command } from 'commander'
import { realClock } from '../kernel/clock.ts'
import { addCommand } from './command.ts'
import { connect } from './connection.ts'
import { UsageError } from './exit-code.ts'
import type { Io } from './io.ts'

const POLL_MS = 500
// biome-ignore lint/suspicious/noControlCharactersInRegex: a step's log must not steer the terminal
const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001a\u001c-\u001f\u007f]|\u001b(?!\[[0-9;]*m)/g

async function pickStep(client: Client, run: string): Promise<string> {
  const { graph } = await client.call({ path: `/api/v1/runs/${encodeURIComponent(run)}`, schema: runView })
  const [only] = graph
  const candidate =
    graph.find((step) => step.state === 'failed') ??
    graph.find((step) => step.state === 'running') ??
    (graph.length === 1 ? only : undefined)
  if (candidate === undefined)
    throw new UsageError(
      `Which step? Run ${run} has ${graph.map((step) => step.key).join(', ')}`,
      `plimsoll logs ${run} STEP`,
    )
  return candidate.key
}

async function copyLog(client: Client, io: Io, path: string, follow: boolean): Promise<void> {
  for (let offset = 0; ; ) {
    const response = await client.fetch({ path, query: { offset } })
    const text = await response.text()
    if (text !== '')
      process.stdout.write(
        io.isJson ? `${JSON.stringify({ offset, text })}\n` : process.stdout.isTTY ? text.replace(CONTROL, '�') : text,
      )
    const next = Number(response.headers.get('x-plimsoll-next-offset') ?? offset)
    const isEnd = response.headers.get('x-plimsoll-end') === '1'
    if (isEnd || (!follow && next === offset)) return
    if (next === offset) await realClock.sleep(POLL_MS)
    offset = next
  }
}

export function addLogs(program: Command): void {
  addCommand<{ follow?: boolean }>(program, {
    use: 'logs <run> [step]',
    summary: 'show what a step wrote; the failed or running one when none is named',
    example: 'plimsoll logs run_0192… train --follow',
    options: [['--follow', 'go on until the step ends']],
    action: async ({ io, options, args }) => {
      const { client } = connect(options)
      const run = args[0]!
      const step = args[1] ?? (await pickStep(client, run))
      await copyLog(
        client,
        io,
        `/api/v1/runs/${encodeURIComponent(run)}/steps/${encodeURIComponent(step)}/log`,
        options.follow === true,
      )
    },
  })
}
