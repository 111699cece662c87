import type { BlobStore } from '@plimsoll/sdk/seams'
import type { MlflowEndpoint } from '../tracking/index.ts'
import { modelRoutes } from './mlflow-model-routes.ts'
import { versionRoutes } from './mlflow-version-routes.ts'

/** The registry part of the MLflow surface. */
export function mlflowRegistryEndpoints(deps: { blobs: BlobStore }): readonly MlflowEndpoint[] {
  return [...modelRoutes, ...versionRoutes(deps)]
}
