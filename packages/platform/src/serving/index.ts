export {
  type FoundPredictions,
  findPredictions,
  forgetPredictions,
  publishSnapshot,
  requirePrediction,
  type ServingControlDeps,
  type SnapshotDeps,
  servingEndpoints,
} from './control/index.ts'
