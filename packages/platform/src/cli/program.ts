import { Command, CommanderError } from 'commander'
import { COMMANDS } from './commands.ts'
import { EXIT, exitCodeOf } from './exit-code.ts'
import { reportFailure } from './io.ts'

function openProgram(version: string, isJson: boolean): Command {
  const program = new Command('plimsoll')
  program
    .description('From commit to a promoted, monitored model.')
    .version(version)
    .showSuggestionAfterError(true)
    .addHelpText(
      'after',
      '\nStart here:\n  $ plimsoll init my-project && cd my-project\n  $ plimsoll up          # stays in the foreground: go on in another shell\n  $ plimsoll apply && plimsoll run start hello\n\nExit status: 0 ok, 1 failed, 2 usage, 3 a gate said no, 4 inconclusive, 5 infrastructure.',
    )
    .exitOverride()
    .configureOutput({
      outputError: (text, write) => {
        const line = text
          .replace(/^error: /, '')
          .trim()
          .replaceAll('\n', ' — ')
        write(isJson ? `${JSON.stringify({ error: { code: 'cli.usage', message: line } })}\n` : `plimsoll: ${line}\n`)
      },
    })
  for (const add of COMMANDS) add(program)
  return inheritSettings(program)
}

/** Sub-commands report usage errors like the program does. */
function inheritSettings(parent: Command): Command {
  for (const command of parent.commands) {
    command.copyInheritedSettings(parent)
    inheritSettings(command)
  }
  return parent
}

/** Runs the command line and returns the exit status. */
export async function runProgram(argv: readonly string[], version: string): Promise<number> {
  const isJson = argv.includes('--json')
  try {
    await openProgram(version, isJson).parseAsync([...argv], { from: 'user' })
    return EXIT.ok
  } catch (thrown) {
    if (thrown instanceof CommanderError)
      return thrown.exitCode === 0 || thrown.code === 'commander.help'
        ? thrown.code === 'commander.help'
          ? EXIT.usage
          : EXIT.ok
        : EXIT.usage
    reportFailure(thrown, isJson)
    return exitCodeOf(thrown)
  }
}
