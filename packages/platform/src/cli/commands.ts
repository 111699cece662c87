import type { Command } from 'commander'
import { addAudit } from './audit.ts'
import { addDataset } from './dataset.ts'
import { addDeadLetter } from './dead-letter.ts'
import { addDoctor } from './doctor.ts'
import { addFeatures } from './features.ts'
import { addInit } from './init.ts'
import { addKey } from './key.ts'
import { addApprove, addModel } from './model.ts'
import { addPredict } from './predict.ts'
import { addProject } from './project.ts'
import { addRelease } from './release.ts'
import { addRoute } from './route.ts'
import { addRun } from './run.ts'
import { addServerProject } from './server-project.ts'
import { addStep } from './step.ts'
import { addLogs } from './step-log.ts'
import { addToken } from './token.ts'
import { addUp } from './up.ts'

/** Every command, in the order in which a user meets them. */
export const COMMANDS: readonly ((program: Command) => void)[] = [
  addInit,
  addUp,
  addDoctor,
  addProject,
  addRun,
  addStep,
  addLogs,
  addDataset,
  addFeatures,
  addModel,
  addApprove,
  addRelease,
  addRoute,
  addPredict,
  addAudit,
  addDeadLetter,
  addServerProject,
  addToken,
  addKey,
]
