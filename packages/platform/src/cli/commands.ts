import type { Command } from 'commander'
import { addDataset } from './dataset.ts'
import { addModel } from './model.ts'
import { addPredict } from './predict.ts'
import { addProject } from './project.ts'
import { addRelease } from './release.ts'
import { addRun } from './run.ts'
import { addLogs } from './step-log.ts'
import { addUp } from './up.ts'

/** Every command, in the order in which a user meets them. */
export const COMMANDS: readonly ((program: Command) => void)[] = [addUp, addProject, addRun, addLogs, addDataset, addModel, addRelease, addPredict]
