export {
  boolean,
  bytes,
  csv,
  type DatasetOptions,
  date,
  defineDataset,
  expectColumn,
  expectTable,
  float32,
  float64,
  int32,
  int64,
  parquet,
  text,
  timestamp,
} from './define/dataset.ts'
export { defineModel, latency, nonInferior, parity, slices } from './define/model.ts'
export {
  command,
  datasetVersion,
  definePipeline,
  defineProject,
  float,
  int,
  type OutputRef,
  type PipelineBuilder,
  pinned,
  python,
  register,
  type StepOptions,
  type StepRef,
  type StepSource,
  string,
  typescript,
} from './define/pipeline.ts'
export { canary, defineRoute, entity, fromFeature, fromInput, fromTime, type RouteOptions } from './define/route.ts'
export type { Definition } from './wire/definition/index.ts'
