export { checkLocalTimes, hasOffset } from './local-times.ts'
export { relationOf, type StoredFile, toManifest } from './manifest.ts'
export { evaluateMeasures, type Measure, place, quoted, type Scan, selectRows } from './measure.ts'
