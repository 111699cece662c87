import type { StepKind } from '../kernel/step-kind.ts'
import { type BoundGenerations, materializeStep } from './materialize-step.ts'
import { sqlTransformStep } from './sql-transform-step.ts'
import { trainingSetStep } from './training-set-step.ts'

/** `bound` tells which generations serve, which only who releases can know. */
export function featureStepKinds(bound: BoundGenerations): readonly StepKind[] {
  return [trainingSetStep, materializeStep(bound), sqlTransformStep]
}
