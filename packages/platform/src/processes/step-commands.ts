import type { MaterializeCommand } from '../features/index.ts'

type Command = (command: MaterializeCommand) => Promise<void>

/** The heavy parts of contributed kinds. Each is loaded alone: what else a domain holds, and a database, no command needs. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  'dataset-version': async () => (await import('../datasets/dataset-version-command.ts')).runDatasetVersionCommand,
  'training-set': async () => (await import('../features/training-set-command.ts')).runTrainingSetCommand,
  materialize: async () => (await import('../features/materialize-command.ts')).runMaterializeCommand,
  'sql-transform': async () => (await import('../features/sql-transform-command.ts')).runSqlTransformCommand,
  register: async () => (await import('../registry/register-command.ts')).runRegisterCommand,
}

/** The command of a kind, as its domain exports it, or undefined: there is none. */
export async function loadStepCommand(kind: string): Promise<Command | undefined> {
  return COMMANDS[kind]?.()
}
