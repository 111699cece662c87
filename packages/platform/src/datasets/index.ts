export { type StoredFile, toManifest } from './content/index.ts'
export {
  type Dataset,
  declareDataset,
  findDataset,
  listDatasets,
  namesOfDatasets,
  requireDataset,
  undeclareDataset,
} from './dataset.ts'
export { sourcePathsOf } from './dataset-version-spec.ts'
export { stepKinds } from './dataset-version-step.ts'
export { type FileLocation, locationsOf, rememberLocations, type SeenLocation } from './location.ts'
export { endpoints } from './routes.ts'
export { findUnaltered, requireUnaltered } from './verify-files.ts'
export {
  type DatasetVersion,
  findVersion,
  latestVersion,
  listVersions,
  type NewVersion,
  registerVersion,
  requireVersion,
  seeWrittenAgain,
  strengthOf,
  type VersionRef,
  versionContent,
} from './version.ts'
