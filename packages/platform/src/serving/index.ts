export {
  type FoundPredictions,
  findPredictions,
  forgetPredictions,
  listGateways,
  lookUpPrediction,
  publishSnapshot,
  requirePrediction,
  routeFault,
  type ServingControlDeps,
  type SnapshotDeps,
  servingEndpoints,
} from './control/index.ts'
export { routeKey } from './gateway/index.ts'
