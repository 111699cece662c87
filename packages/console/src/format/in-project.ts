import { SHELL_WORD } from '@plimsoll/sdk/wire'

/** The project that is taken where none is named. */
export const DEFAULT_PROJECT = 'default'
/** How the server starts a pipeline again, as part of a pattern. */
export const RUN_START = `plimsoll run start [\\w-]+(?: --param ${SHELL_WORD})*`
/** The only chain that the server says; any other `&&` may stand in a name. */
const CHAIN = new RegExp(`^(plimsoll apply) && (${RUN_START})$`)

/** A command of ours for another project than the one that the command line takes by itself. */
export function inProject(command: string, project: string): string {
  if (project === DEFAULT_PROJECT || !command.startsWith('plimsoll ')) return command
  const [, first, second] = CHAIN.exec(command) ?? []
  const each = first === undefined || second === undefined ? [command] : [first, second]
  return each.map((one) => `${one} --project ${project}`).join(' && ')
}
