import type { Client } from '@plimsoll/sdk/client'
import { runView } from '@plimsoll/sdk/wire'
import type { Command } from 'commander'
import { realClock } from '../kernel/clock.ts'
import { segment } from './argument.ts'
import { addCommand } from './command.ts'
import { connect } from './connection.ts'
import { printable } from './io.ts'
import { openTerminalText } from './terminal-text.ts'

const POLL_MS = 500

/** Reads a step's log from its start, piece by piece; with `isFollowed` until the step has ended. */
async function readLog(
  client: Client,
  path: string,
  isFollowed: boolean,
  onBytes: (bytes: Uint8Array) => void,
): Promise<void> {
  for (let offset = 0, isEnd = false; !isEnd; ) {
    const response = await client.fetch({ path, query: { offset } })
    onBytes(new Uint8Array(await response.arrayBuffer()))
    const next = Number(response.headers.get('x-plimsoll-next-offset'))
    isEnd = response.headers.get('x-plimsoll-end') === '1' || (next === offset && !isFollowed)
    if (next === offset && !isEnd) await realClock.sleep(POLL_MS)
    offset = next
  }
}

/** Prints a log: on a terminal what is safe there, else the bytes as they are. */
async function printLog(client: Client, path: string, isFollowed: boolean): Promise<void> {
  if (process.stdout.isTTY !== true) {
    await readLog(client, path, isFollowed, (bytes) => process.stdout.write(bytes))
    return
  }
  const decoder = new TextDecoder()
  const terminal = openTerminalText()
  await readLog(client, path, isFollowed, (bytes) =>
    process.stdout.write(terminal.push(decoder.decode(bytes, { stream: true }))),
  )
  process.stdout.write(terminal.push(decoder.decode()) + terminal.end())
}

async function textOfLog(client: Client, path: string, isFollowed: boolean): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  await readLog(client, path, isFollowed, (bytes) => {
    text += decoder.decode(bytes, { stream: true })
  })
  return text + decoder.decode()
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
        const log = `${path}/steps/${segment(step, 'step')}/log`
        const isFollowed = options.follow === true
        if (io.isJson) {
          logs[step] = await textOfLog(client, log, isFollowed)
          continue
        }
        if (steps.length > 1) process.stdout.write(`── ${printable(step)}\n`)
        await printLog(client, log, isFollowed)
      }
      if (io.isJson) io.answer({ logs }, '')
    },
  })
}
