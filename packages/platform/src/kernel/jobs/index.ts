export { type DeadJob, discardDeadJob, listDeadJobs, retryDeadJob } from './dead-job.ts'
export { cancelJob, declareSchedule, enqueue, type NewJob, type Schedule } from './job.ts'
export { pruneJobs } from './lease.ts'
export {
  type FinishWork,
  type JobCall,
  type JobHandler,
  type JobRunner,
  type JobRunnerOptions,
  openJobRunner,
} from './runner.ts'
