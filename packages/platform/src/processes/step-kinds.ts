import { stepKinds as datasets } from '../datasets/index.ts'
import { boundGenerations } from '../delivery/index.ts'
import { featureStepKinds } from '../features/index.ts'
import type { StepKind } from '../kernel/step-kind.ts'
import { stepKinds as registry } from '../registry/index.ts'

/** How long what no longer serves is still filled, so that a rollback finds it fresh. */
const ROLLBACK_MS = 24 * 3_600_000
const features = featureStepKinds((ctx) => boundGenerations(ctx, ROLLBACK_MS))

/** Kinds of steps that domains contribute, by name. */
export const STEP_KINDS: ReadonlyMap<string, StepKind> = new Map(
  [...datasets, ...features, ...registry].map((kind) => [kind.kind, kind]),
)
