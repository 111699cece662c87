import { stepKinds as datasets } from '../datasets/index.ts'
import { stepKinds as features } from '../features/index.ts'
import type { StepKind } from '../kernel/step-kind.ts'
import { stepKinds as registry } from '../registry/index.ts'

/** Kinds of steps that domains contribute, by name. */
export const STEP_KINDS: ReadonlyMap<string, StepKind> = new Map(
  [...datasets, ...features, ...registry].map((kind) => [kind.kind, kind]),
)
