import type { BlobStore } from '@plimsoll/sdk/seams'
import type { ArtifactMount } from '../artifact-mount.ts'
import { type MlflowEndpoint, mlflowEndpoint } from '../surface/endpoint.ts'
import { artifactEndpoints } from './artifact-routes.ts'
import { experimentEndpoints } from './experiment-routes.ts'
import { loggedModelEndpoints } from './logged-model-routes.ts'
import { metricEndpoints } from './metric-routes.ts'
import { runEndpoints } from './run-routes.ts'

const ARTIFACT_MAX_BYTES = 16 * 1024 ** 3

/** Asked by clients with a workspace, once, without retries. */
const serverInfo = mlflowEndpoint({
  method: 'GET',
  path: '/v3/mlflow/server-info',
  access: 'read',
  fields: {},
  handler: async () => ({
    store_type: 'SqlStore',
    workspaces_enabled: false,
    trace_archival_enabled: false,
    multipart_uploads_enabled: false,
    multipart_downloads_enabled: false,
    presigned_upload_run_id_supported: false,
    presigned_upload_model_id_supported: false,
  }),
})

/** Everything of the MLflow surface that tracking answers; registry adds its own. */
export function mlflowTrackingEndpoints(deps: {
  blobs: BlobStore
  /** Of one artifact. */
  artifactMaxBytes?: number
  /** What other domains lay beside the artifacts that were logged. */
  mounts?: readonly ArtifactMount[]
}): readonly MlflowEndpoint[] {
  return [
    serverInfo,
    ...experimentEndpoints,
    ...runEndpoints,
    ...metricEndpoints,
    ...loggedModelEndpoints,
    ...artifactEndpoints({
      blobs: deps.blobs,
      artifactMaxBytes: deps.artifactMaxBytes ?? ARTIFACT_MAX_BYTES,
      mounts: deps.mounts ?? [],
    }),
  ]
}
