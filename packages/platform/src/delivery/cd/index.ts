export {
  findAssignment,
  findRelease,
  listAssignments,
  listReleases,
  type ReleaseRecord,
  release,
  rollback,
} from './release.ts'
export { declareRoute, findRoute, listRoutes, type RouteRecord, removeRoute, requireRoute } from './route.ts'
export { compileSignature } from './route-signature.ts'
export { endpoints } from './routes.ts'
