export { type Alias, type AliasMove, deleteAlias, listAliases, moveAlias, projectChampion } from './alias.ts'
export { type Approval, approvalsOf, approve, unrecordedApprovals } from './approval.ts'
export { registerClientVersion } from './client-version.ts'
export { mlflowRegistryEndpoints } from './mlflow.ts'
export {
  declareModel,
  ensureModel,
  findModel,
  listModels,
  type RegisteredModel,
  requireModel,
  undeclareModel,
} from './model.ts'
export { notesOf } from './model-notes.ts'
export { passportGaps } from './passport.ts'
export { holdVersion, releaseHold } from './protected-alias.ts'
export { findUnrecordedApproval } from './recorded-approval.ts'
export { findUnrecordedNotes } from './recorded-notes.ts'
export { findUnrecordedRegistry } from './recorded-registry.ts'
export { stepKinds } from './register-step.ts'
export { registryEndpoints } from './routes.ts'
export {
  findModelVersion,
  listModelVersions,
  type ModelVersion,
  type NewModelVersion,
  registerModelVersion,
  requireModelVersion,
  runsOfVersions,
  versionsOfArtifact,
} from './version.ts'
export { versionMount } from './version-mount.ts'
