export {
  cancelJob,
  declareSchedule,
  enqueue,
  type JobView,
  listJobs,
  type NewJob,
  retryJob,
  type Schedule,
} from './job.ts'
export { pruneJobs } from './lease.ts'
export {
  type FinishWork,
  type JobCall,
  type JobHandler,
  type JobRunner,
  type JobRunnerOptions,
  openJobRunner,
} from './runner.ts'
export { JOB_STATES, type JobState } from './tables.ts'
