export {
  type Declaration,
  declareEntity,
  declareFeatureService,
  declareFeatureView,
  type Entity,
  type FeatureService,
  requireEntity,
  requireFeatureService,
  requireFeatureView,
  type ServiceMember,
} from './declare.ts'
