export {
  type FoundPredictions,
  findPredictions,
  forgetPredictions,
  publishSnapshot,
  requirePrediction,
  routeFault,
  type ServingControlDeps,
  type SnapshotDeps,
  servingEndpoints,
} from './control/index.ts'
