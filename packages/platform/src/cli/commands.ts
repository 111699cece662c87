import type { Command } from 'commander'
import { addUp } from './up.ts'

/** Every command, in the order in which a user meets them. */
export const COMMANDS: readonly ((program: Command) => void)[] = [addUp]
