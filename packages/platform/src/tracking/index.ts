export {
  type ArtifactFile,
  artifactRoot,
  listArtifacts,
  listArtifactTree,
  putArtifact,
  requireArtifact,
} from './artifact.ts'
export type { ArtifactContent, ArtifactMount } from './artifact-mount.ts'
export { checkArtifactPath } from './artifact-path.ts'
export { createExperiment, ensureExperiment, nowMs, type Pair, requireExperiment } from './experiment.ts'
export { type Comparison, parseFilter } from './filter.ts'
export { numberSql, textSql } from './filter-sql.ts'
export { checkKey, isReservedTag, withoutReserved } from './limits.ts'
export { type LoggedModel, noteModelVersion, requireLoggedModel } from './logged-model.ts'
export { sendArtifact } from './mlflow/artifact-routes.ts'
export { mlflowTrackingEndpoints } from './mlflow/index.ts'
export { afterCursor, cursorSql, orderSql, parseOrderBy, type SortKey, sortParts } from './order.ts'
export { pageQuery, readPageToken, writePageToken } from './page-token.ts'
export { createRun, type RunStatus, requireTrackedRun, type TrackedRun } from './run.ts'
export { endingTrackedRuns, endTrackedRuns, type RunEnd, startTrackedRun } from './step-run.ts'
export { LONG_BODY_MAX_BYTES, type MlflowEndpoint, mlflowEndpoint, RawReply } from './surface/endpoint.ts'
export { choice, flag, int64, isLonger, list, pageSize, record, required, text } from './surface/fields.ts'
export { wireInt } from './surface/json.ts'
export { type MlflowSurface, registerMlflowSurface } from './surface/plugin.ts'
