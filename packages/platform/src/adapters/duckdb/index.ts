export { type DuckdbOptions, openDuckdbQueryEngine } from './query-engine.ts'
