export { createExperiment, ensureExperiment, requireExperiment } from './experiment.ts'
export { createRun, finishTrackedRun, requireTrackedRun, type RunStatus, startTrackedRun, type TrackedRun } from './run.ts'
export { registerMlflowSurface } from './surface/plugin.ts'
