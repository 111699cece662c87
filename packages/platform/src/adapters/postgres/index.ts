export { openPostgres, type PostgresOptions } from './backend.ts'
export { askPostgres } from './server.ts'
