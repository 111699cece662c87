export { SECRET_BYTES_MAX, SECRET_NAME, SECRET_PROJECT, secretVariable } from '../wire/secret-name.ts'
export type { BlobStore } from './blob-store.ts'
export type { IdentityProvider, PresentedCredentials, ProvenIdentity } from './identity-provider.ts'
export type {
  ModelRuntime,
  ModelSession,
  PlacementLevel,
  RuntimeCapabilities,
  RuntimeData,
  RuntimeDatatype,
  RuntimeSpec,
  RuntimeTensor,
} from './model-runtime.ts'
export type { OnlineBatch, OnlineBatchResult, OnlineGeneration, OnlineRecord, OnlineStore } from './online-store.ts'
export { ONNX_DATATYPES } from './onnx-datatypes.ts'
export type {
  Cell,
  CsvFormat,
  InputRelation,
  QueryEngine,
  QueryOutput,
  QueryRequest,
  ResultColumn,
} from './query-engine.ts'
export type { SecretProvider, SecretReference } from './secret-provider.ts'
export type { StepExecutor, StepExit, StepSubmission, StepUsage } from './step-executor.ts'
