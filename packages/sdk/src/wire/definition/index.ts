import { z } from 'zod'
import { datasetDefinition } from './dataset.ts'
import { declaredPipeline } from './declared-pipeline.ts'
import { entityDefinition, featureServiceDefinition, featureViewDefinition } from './feature.ts'
import { modelDefinition } from './model.ts'
import { routeDefinition } from './route.ts'

export { type DatasetDefinition, datasetDefinition, datasetSource, type Expectation, expectation } from './dataset.ts'
export { declaredPipeline, declaredStep, paramValueFault } from './declared-pipeline.ts'
export {
  AGGREGATES,
  type EntityDefinition,
  entityDefinition,
  type FeatureExpression,
  type FeatureServiceDefinition,
  type FeatureViewDefinition,
  featureExpression,
  featureServiceDefinition,
  featureViewDefinition,
} from './feature.ts'
export { gate, type ModelDefinition, modelDefinition } from './model.ts'
export {
  type ColumnType,
  columnType,
  definitionName,
  fieldName,
  VALUE_TYPES,
  type ValueType,
  valueType,
} from './name.ts'
export {
  type CodeBundle,
  codeBundle,
  type PipelineDefinition,
  type PipelineStep,
  pipelineDefinition,
  pipelineStep,
  type StepInput,
  stepInput,
} from './pipeline.ts'
export { type FeatureMapping, featureMapping, type RouteDefinition, routeDefinition, routeInput } from './route.ts'
export { choiceText, faultText, IN_WORDS, inWords, joinFaults, listedNames, shownValue, thereAre } from './words.ts'

/** One thing that a project declares. */
export const definition = z.discriminatedUnion('kind', [
  datasetDefinition,
  entityDefinition,
  featureViewDefinition,
  featureServiceDefinition,
  declaredPipeline,
  modelDefinition,
  routeDefinition,
])
/** A definition of any kind, its defaults filled in. */
export type Definition = z.output<typeof definition>
/** Kinds of definitions: the values of their member `kind`. */
export const DEFINITION_KINDS = [
  'dataset',
  'entity',
  'feature-view',
  'feature-service',
  'pipeline',
  'model',
  'route',
] as const
/** One of `DEFINITION_KINDS`. */
export type DefinitionKind = (typeof DEFINITION_KINDS)[number]
