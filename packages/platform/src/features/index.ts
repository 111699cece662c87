export {
  type Declaration,
  declareEntity,
  declareFeatureService,
  declareFeatureView,
  type Entity,
  type FeatureService,
  requireEntity,
  requireFeatureService,
  requireFeatureView,
  type ServiceMember,
} from './declare.ts'
export type { MaterializeCommand } from './materialize-step.ts'
export { endpoints } from './routes.ts'
export { servingSpec } from './serving-spec.ts'
export { stepKinds } from './step-kinds.ts'
export { type TrainingSetReport, trainingSetReport } from './training-set-spec.ts'
