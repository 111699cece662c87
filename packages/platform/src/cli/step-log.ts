import { type Client, ClientError } from '@plimsoll/sdk/client'
import { isProcessKind, runView } from '@plimsoll/sdk/wire'
import type { Command } from 'commander'
import { realClock } from '../kernel/clock.ts'
import { segment } from './argument.ts'
import { addCommand } from './command.ts'
import { connect, flagsOf } from './connection.ts'
import { EXIT } from './exit-code.ts'
import { type Io, printable } from './io.ts'
import { openLinePrefix } from './line-prefix.ts'
import { type LogFilter, openPlatformLines } from './platform-lines.ts'
import { stateText, untilServed } from './run-follow.ts'
import { parseStepName } from './step-name.ts'
import { openTerminalText, RESET } from './terminal-text.ts'

const POLL_MS = 500

interface Asked {
  readonly client: Client
  readonly io: Io
  readonly run: string
  readonly path: string
  readonly isFollowed: boolean
}

/** Reads a step's log from its start, piece by piece; with `isFollowed` until the step has ended. True when there was any. */
async function readLog(
  { client, io, path, isFollowed, run }: Asked,
  onBytes: (bytes: Uint8Array) => void,
): Promise<boolean> {
  let hasBytes = false
  for (let offset = 0, isEnd = false; !isEnd; ) {
    const read = async () => {
      const response = await client.fetch({ path, query: { offset } })
      const bytes = await response.arrayBuffer().catch(() => {
        throw new ClientError({ status: 503, code: 'client.unreachable', detail: `${client.server} ended its answer` })
      })
      return { response, bytes: new Uint8Array(bytes) }
    }
    const following = { what: `the log of run ${run}`, next: `plimsoll logs ${run} --follow` }
    const { response, bytes } = isFollowed ? await untilServed(client, io, read, following) : await read()
    io.endProgress()
    hasBytes ||= bytes.length > 0
    onBytes(bytes)
    const next = Number(response.headers.get('x-plimsoll-next-offset'))
    isEnd = response.headers.get('x-plimsoll-end') === '1' || (next === offset && !isFollowed)
    if (next === offset && !isEnd) await realClock.sleep(POLL_MS)
    offset = next
  }
  return hasBytes
}

/** What a program of the user's own writes is passed on as it is: it may look like the platform's. */
const AS_THEY_ARE: LogFilter = { push: (piece) => Buffer.from(piece), end: () => Buffer.alloc(0) }

/**
 * Prints a log, lines of the platform itself in words: on a terminal what is safe there, else the bytes as they are. With
 * `name` each line begins with it, so that one step cannot write what looks like another's.
 */
async function printLog(asked: Asked, isOwn: boolean, name: string | undefined): Promise<boolean> {
  const isTerminal = process.stdout.isTTY === true
  const lines = isOwn ? openPlatformLines() : AS_THEY_ARE
  // No colour of a line reaches the name before the next.
  const named = name === undefined ? AS_THEY_ARE : openLinePrefix(`${isTerminal ? RESET : ''}${name} | `)
  if (!isTerminal) {
    const hasBytes = await readLog(asked, (bytes) => process.stdout.write(named.push(lines.push(bytes))))
    process.stdout.write(Buffer.concat([named.push(lines.end()), named.end()]))
    return hasBytes
  }
  const decoder = new TextDecoder()
  const terminal = openTerminalText()
  const write = (text: string) => process.stdout.write(named.push(Buffer.from(text)))
  const end = () => {
    write(terminal.push(decoder.decode(lines.end())))
    const rest = terminal.end()
    // The end of a colour behind the last line is no line of its own.
    if (rest === RESET) process.stdout.write(rest)
    else write(rest)
    process.stdout.write(named.end())
  }
  const leave = () => {
    end()
    process.exit(EXIT.interrupted)
  }
  // Not once: at a terminal the signal comes twice, from there and through the launcher.
  process.on('SIGINT', leave)
  try {
    return await readLog(asked, (bytes) => write(terminal.push(decoder.decode(lines.push(bytes), { stream: true }))))
  } finally {
    end()
    process.removeListener('SIGINT', leave)
  }
}

/** Why a step has no log: nobody looks for one in vain. */
async function tellEmpty({ client, run }: Asked, key: string, flags: string): Promise<void> {
  const view = await client.call({ path: `/api/v1/runs/${segment(run, 'run')}`, schema: runView })
  const step = view.graph.find((found) => found.key === key)
  const source = step?.cache?.hit ? step.cache.source : null
  const why = source
    ? `cached, see plimsoll logs ${source.run} ${source.step}${flags}`
    : step === undefined || step.startedAt !== null
      ? `nothing was written${step?.progress?.message ? `. It said of its progress: ${step.progress.message}` : ''}`
      : stateText(step.state)
  process.stderr.write(`${printable(key)} has no log: ${printable(why)}\n`)
}

async function textOfLog(asked: Asked): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  await readLog(asked, (bytes) => {
    text += decoder.decode(bytes, { stream: true })
  })
  return text + decoder.decode()
}

/** `logs <run> [step]`. */
export function addLogs(program: Command): void {
  addCommand<{ follow?: boolean }>(program, {
    use: 'logs <run> [step]',
    summary: 'print the log of a step (RUN STEP or RUN/STEP), or of every step of a run',
    example: 'plimsoll logs run_01… fit --follow',
    options: [['--follow', 'wait for more until the step ends']],
    action: async ({ io, options, args }) => {
      const { client } = connect(options)
      const { run, step: named } = parseStepName(args)
      const path = `/api/v1/runs/${segment(run, 'run')}`
      const { graph } = await client.call({ path, schema: runView })
      const kinds = new Map(graph.map((step) => [step.key, step.kind]))
      const steps = named === undefined ? [...kinds.keys()] : [named]
      const width = Math.max(...steps.map((step) => step.length))
      const logs: Record<string, string> = {}
      for (const step of steps) {
        const log = `${path}/steps/${segment(step, 'step')}/log`
        const asked = { client, io, run, path: log, isFollowed: options.follow === true }
        if (io.isJson) {
          logs[step] = await textOfLog(asked)
          continue
        }
        const name = steps.length > 1 ? printable(step).padEnd(width) : undefined
        if (!(await printLog(asked, !isProcessKind(kinds.get(step) ?? 'command'), name)))
          await tellEmpty(asked, step, flagsOf(options))
      }
      if (io.isJson) io.answer({ logs }, '')
    },
  })
}
