import type { StepKind } from '../kernel/step-kind.ts'
import { materializeStep } from './materialize-step.ts'
import { sqlTransformStep } from './sql-transform-step.ts'
import { trainingSetStep } from './training-set-step.ts'

export const stepKinds: readonly StepKind[] = [trainingSetStep, materializeStep, sqlTransformStep]
