export { joinLabels, recordLabels } from './label.ts'
export { readLive } from './live.ts'
export { forgetOutcomes } from './retention.ts'
export { monitoringEndpoints } from './routes.ts'
