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
  viewWarnings,
} from './declare.ts'
export {
  isVersionWhole as isFeatureVersionWhole,
  removeDefinition as removeFeatureDefinition,
} from './definition-store.ts'
export { dropGenerations, type GenerationRetention } from './generation-retention.ts'
export { findUnmaterialized, isDropped } from './materialization.ts'
export type { MaterializeCommand } from './materialize-command.ts'
export { endpoints } from './routes.ts'
export { servingSpec } from './serving-spec.ts'
export { featureStepKinds } from './step-kinds.ts'
export { type TrainingSetReport, trainingSetReport } from './training-set-spec.ts'
