import { Command, CommanderError } from 'commander'
import { pathOf } from './command.ts'
import { COMMANDS } from './commands.ts'
import { EXIT, exitCodeOf, UsageError } from './exit-code.ts'
import { reportFailure } from './io.ts'

function openProgram(version: string, isJson: boolean): Command {
  const program = new Command('plimsoll')
  program
    .description('From commit to a promoted, monitored model.')
    .version(version)
    .showSuggestionAfterError(true)
    .addHelpText(
      'after',
      '\nStart here:\n  $ plimsoll init my-project && cd my-project\n  $ git init && git add --all && git commit --message "A first project"\n  $ plimsoll up          # stays in the foreground: go on in another shell\n  $ plimsoll apply && plimsoll run start hello\n\nExit status: 0 ok, 1 failed, 2 usage, 3 a gate said no, 4 inconclusive, 5 infrastructure.',
    )
    .exitOverride()
  for (const add of COMMANDS) add(program)
  return reportUsage(program, isJson)
}

/** Faults that the parser finds are told like all others, with the help of the command that has them. */
function reportUsage(command: Command, isJson: boolean): Command {
  command.configureOutput({
    outputError: (text) => {
      const [fault = '', guess] = text
        .replace(/^error: /, '')
        .trim()
        .split('\n')
      const meant = guess === undefined ? '' : `${guess.replace(/^\((.*)\)$/, '$1')} ` // `(Did you mean run?)`
      reportFailure(new UsageError(fault, `${meant}See ${pathOf(command)} --help`), isJson)
    },
  })
  for (const inner of command.commands) {
    inner.copyInheritedSettings(command)
    reportUsage(inner, isJson)
  }
  return command
}

/**
 * `help run start` as `run start --help`. Help on a command that there is not, which Commander answers with that on its
 * group, is the command alone, which it refuses by name.
 */
function resolveHelp(program: Command, argv: readonly string[]): readonly string[] {
  const path: string[] = []
  let isAsked = argv.includes('--help') || argv.includes('-h')
  let isWord = false
  let group = program
  for (const word of argv.filter((one) => !one.startsWith('-'))) {
    if (group.commands.length === 0) break
    if (word === 'help') {
      isAsked = isWord = true
      continue
    }
    path.push(word)
    const command = group.commands.find((one) => one.name() === word)
    if (command === undefined) return isAsked ? path : argv
    group = command
  }
  return isWord ? [...path, '--help'] : argv
}

/** Runs the command line and returns the exit status. */
export async function runProgram(argv: readonly string[], version: string): Promise<number> {
  const isJson = argv.includes('--json')
  try {
    const program = openProgram(version, isJson)
    await program.parseAsync(resolveHelp(program, argv), { from: 'user' })
    return EXIT.ok
  } catch (thrown) {
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? EXIT.ok : EXIT.usage
    reportFailure(thrown, isJson)
    return exitCodeOf(thrown)
  }
}
