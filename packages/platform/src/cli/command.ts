import { ClientError } from '@plimsoll/sdk/client'
import type { Command } from 'commander'
import { flagsOf, type SharedOptions } from './connection.ts'
import { UsageError } from './exit-code.ts'
import { type Io, openIo } from './io.ts'
import { withAction } from './suggest.ts'

/** What a command's action receives. */
export interface Invocation<O> {
  readonly io: Io
  readonly options: SharedOptions & O
  readonly args: readonly string[]
}

export type Action<O> = (invocation: Invocation<O>) => Promise<void>

/** A command with the options that all have, and an example in its help. */
export interface CommandShape<O> {
  /** Name and arguments, for example `logs <run> [step]`. */
  readonly use: string
  readonly summary: string
  readonly example: string
  readonly options?: readonly [flags: string, description: string][]
  /** False for commands that need no server. */
  readonly isRemote?: boolean
  readonly action: Action<O>
}

/** `.plimsoll` is a folder. */
const COMMAND = /(?<![.\w])plimsoll [a-z]/

/** Codes whose remedy is a command that takes no such flag, or not with that value. */
const UNFIT: Readonly<Record<string, 'server' | 'project'>> = {
  'client.unreachable': 'server',
  'serving.no_such_path': 'server',
  'auth.project_not_found': 'project',
}

/** A failure may name commands to run next: they find the same server with the same flags only. */
export function repeatingFlags(thrown: unknown, options: SharedOptions): unknown {
  if (!(thrown instanceof ClientError)) return thrown
  const unfit = UNFIT[thrown.code]
  const flags = flagsOf(unfit === undefined ? options : { ...options, [unfit]: undefined })
  const said = [thrown.action ?? '', ...thrown.faults.map(({ detail }) => detail)]
  if (flags === '' || !said.some((text) => COMMAND.test(text)) || thrown.action?.includes(flags)) return thrown
  return withAction(thrown, `${thrown.action ? `${thrown.action}. ` : ''}Commands named here need${flags}`)
}

/** What a command takes besides the flags that all have, by the name that it has in a request. */
type OwnNames = ReadonlyMap<string, string>

function ownNames(command: Command): OwnNames {
  return new Map([
    ...command.registeredArguments.map((argument) => [argument.name(), `<${argument.name()}>`] as const),
    ...command.options.map((option) => [option.attributeName(), option.long ?? option.flags] as const),
  ])
}

const OF_FLAGS = new Set(['http.invalid_request', 'pipelines.bad_params', 'pipelines.unknown_step'])

/** The flag or argument that gave what a pointer leads to. */
function flagAt(pointer: string, names: OwnNames): string | undefined {
  const param = names.has('param') ? /^\/params\/(.+)$/.exec(pointer)?.[1] : undefined
  return param === undefined ? names.get(/^(?:[?:/]|\/options\/)(\w+)$/.exec(pointer)?.[1] ?? '') : `--param ${param}`
}

/** What the server refuses of a request is a fault of the flags or arguments that gave it, where all of it came from them. */
export function namingFlags(thrown: unknown, names: OwnNames, path: string): unknown {
  if (!(thrown instanceof ClientError) || !OF_FLAGS.has(thrown.code)) return thrown
  const faults = thrown.faults.flatMap(({ pointer, detail }) => {
    const flag = flagAt(pointer, names)
    return flag === undefined ? [] : [`${flag}: ${detail}`]
  })
  if (faults.length === 0 || faults.length < thrown.faults.length) return thrown
  return new UsageError(`Cannot use ${faults.join('; ')}`, `See ${path} --help`)
}

/** The whole name of a command: `plimsoll run list`. */
export function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`
}

/** Adds a command to a parent. */
export function addCommand<O>(parent: Command, shape: CommandShape<O>): void {
  const command = parent.command(shape.use).description(shape.summary)
  for (const [flags, description] of shape.options ?? []) command.option(flags, description)
  const names = ownNames(command)
  command.option('--json', 'answer as one line of JSON')
  if (shape.isRemote !== false) {
    command
      .option('--server <url>', 'address of the control plane')
      .option('--data-dir <dir>', 'data directory of a running plimsoll up')
      .option(
        '--project <name>',
        'project of the server, which holds all rows and roles; PLIMSOLL_PROJECT does the same (default: default)',
      )
      .option('--token-file <file>', 'file with a token; PLIMSOLL_TOKEN does the same')
      .option('--sign-with <file>', 'sign with this SSH key instead of sending a token')
      .option('--as <name>', 'who signs (default: your user name)')
  }
  command.addHelpText('after', `\nExample:\n  $ ${shape.example}`)
  command.action(async () => {
    const options = command.opts() as SharedOptions & O // declared by the flags above
    await shape
      .action({ io: openIo({ isJson: options.json === true }), options, args: command.args })
      .catch((thrown: unknown) => {
        throw repeatingFlags(namingFlags(thrown, names, pathOf(command)), options)
      })
  })
}

/** Adds a group of commands, such as `dataset`. */
export function addGroup(parent: Command, name: string, summary: string): Command {
  return parent.command(name).description(summary)
}
