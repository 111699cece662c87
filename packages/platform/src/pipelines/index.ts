export { type AttemptTokens, openAttemptTokens } from './attempt-token.ts'
export type { LaunchDeps } from './launch.ts'
export {
  declarePipeline,
  findPipelineDigest,
  findPipelineVersion,
  isPipelineWhole,
  listPipelines,
  type PipelineVersion,
  removePipeline,
  requirePipeline,
  requirePipelineVersion,
  type StepKinds,
} from './pipeline.ts'
export { reasonOf } from './plan.ts'
export { openPythonEnvironments, type PythonEnvironments } from './python-environment.ts'
export { forgetCacheEntries, forgetRuns, type RunsHeld, removeWorkDirectories } from './retention.ts'
export { type PipelineEndpointDeps, pipelineEndpoints } from './routes.ts'
export { cancelRun, requireRun, startNamedRun, startRun, startStep } from './run.ts'
export { openScheduler, type Scheduler, type SchedulerDeps } from './scheduler.ts'
export { openStepSecrets, type StepSecrets } from './step-secrets.ts'
export type { Bundles, Origin } from './tables.ts'
export { listRuns, readRun, readStep } from './view.ts'
