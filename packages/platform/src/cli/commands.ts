import type { Command } from 'commander'
import { addApply } from './apply.ts'
import { addApprove } from './approve.ts'
import { addCancel } from './cancel.ts'
import { addDataset } from './dataset.ts'
import { addLogs } from './logs.ts'
import { addModel } from './model.ts'
import { addPlan } from './plan.ts'
import { addPredict } from './predict.ts'
import { addRelease } from './release.ts'
import { addRollback } from './rollback.ts'
import { addRun } from './run.ts'
import { addStep } from './step.ts'
import { addToken } from './token.ts'
import { addUp } from './up.ts'

/** Every command, in the order in which a user meets them. */
export const COMMANDS: readonly ((program: Command) => void)[] = [
  addUp,
  addPlan,
  addApply,
  addRun,
  addStep,
  addLogs,
  addCancel,
  addDataset,
  addModel,
  addApprove,
  addRelease,
  addRollback,
  addPredict,
  addToken,
]
