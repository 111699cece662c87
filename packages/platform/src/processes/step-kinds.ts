import { stepKinds as datasets } from '../datasets/index.ts'
import { boundGenerations } from '../delivery/index.ts'
import { featureStepKinds } from '../features/index.ts'
import type { StepKind } from '../kernel/step-kind.ts'
import { stepKinds as registry } from '../registry/index.ts'

/**
 * Kinds of steps that domains contribute, by name. What a route no longer serves is still filled for `rollbackMs`, so
 * that a rollback finds it fresh; only resolving a step asks for it.
 */
export function openStepKinds(rollbackMs: number): ReadonlyMap<string, StepKind> {
  const features = featureStepKinds((ctx) => boundGenerations(ctx, rollbackMs))
  return new Map([...datasets, ...features, ...registry].map((kind) => [kind.kind, kind]))
}
