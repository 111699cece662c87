export type { BlobStore } from './blob-store.ts'
export type { Cell, CsvFormat, InputRelation, QueryEngine, QueryOutput, QueryRequest, ResultColumn } from './query-engine.ts'
