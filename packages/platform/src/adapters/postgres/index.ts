export { openPostgres, type PostgresOptions } from './backend.ts'
