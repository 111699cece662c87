export { forgetPredictions } from './retention.ts'
export { type ServingControlDeps, servingEndpoints } from './routes.ts'
export { type FoundPredictions, findPredictions, lookUpPrediction, requirePrediction } from './segment.ts'
export { publishSnapshot, routeFault, type SnapshotDeps } from './snapshot.ts'
