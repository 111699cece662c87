export { findAssignment, listAssignments } from './assignment.ts'
export { boundGenerations } from './bound-generations.ts'
export { findUnrecordedRelease, findUnreleasedAssignment, isReleaseRecorded } from './recorded-release.ts'
export { release, rollback } from './release.ts'
export { findRelease, listReleases, type ReleaseRecord } from './release-record.ts'
export { retire } from './retire.ts'
export {
  declareRoute,
  findRoute,
  listEnvironments,
  listRoutes,
  type RouteRecord,
  removeRoute,
  requireRoute,
} from './route.ts'
export { compileSignature } from './route-signature.ts'
export { deliveryEndpoints } from './routes.ts'
