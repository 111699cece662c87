export { joinLabels, recordLabels } from './label.ts'
export { readLive } from './live.ts'
export { monitoringEndpoints } from './routes.ts'
