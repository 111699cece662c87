export type { BlobStore } from './blob-store.ts'
export type { Cell, InputRelation, QueryEngine, QueryOutput, QueryRequest, ResultColumn } from './query-engine.ts'
