import type { Migration } from '../src/kernel/db/index.ts'
import { up as up0001 } from './0001-kernel.ts'
import { up as up0002 } from './0002-jobs.ts'
import { up as up0003 } from './0003-ledger.ts'
import { up as up0004 } from './0004-auth.ts'
import { up as up0010 } from './0010-datasets.ts'
import { up as up0020 } from './0020-features.ts'
import { up as up0021 } from './0021-feature-removal.ts'
import { up as up0030 } from './0030-tracking.ts'
import { up as up0040 } from './0040-pipelines.ts'
import { up as up0050 } from './0050-registry.ts'
import { up as up0060 } from './0060-delivery.ts'
import { up as up0061 } from './0061-route-signature.ts'
import { up as up0062 } from './0062-rollback-origin.ts'
import { up as up0063 } from './0063-version-hold.ts'
import { up as up0064 } from './0064-route-served-once.ts'
import { up as up0070 } from './0070-serving.ts'
import { up as up0080 } from './0080-monitoring.ts'
import { up as up0081 } from './0081-label-turns.ts'
import { up as up0090 } from './0090-definitions.ts'
import { up as up0091 } from './0091-route-by-environment.ts'
import { up as up0100 } from './0100-blob-retention.ts'
import { up as up0110 } from './0110-route-retirement.ts'
import { up as up0111 } from './0111-label-due.ts'
import { up as up0112 } from './0112-dropped-generation.ts'
import { up as up0120 } from './0120-gateway-latency.ts'
import { up as up0121 } from './0121-ledger-mark.ts'
import { up as up0130 } from './0130-blob-part-project.ts'
import { up as up0140 } from './0140-run-of-pipeline.ts'
import { up as up0150 } from './0150-checks-of-keys.ts'
import { up as up0160 } from './0160-check-of-experiments.ts'
import { up as up0170 } from './0170-check-of-steps.ts'
import { up as up0180 } from './0180-retention-classes.ts'
import { up as up0190 } from './0190-verdicts-and-drift.ts'
import { up as up0191 } from './0191-model-notes.ts'
import { up as up0200 } from './0200-version-last-seen.ts'
import { up as up0210 } from './0210-notes-in-audit.ts'

/** Every migration, in order. Forward only: a released file never changes. */
export const MIGRATIONS: readonly Migration[] = [
  { name: '0001-kernel', up: (db) => up0001(db as never) },
  { name: '0002-jobs', up: (db) => up0002(db as never) },
  { name: '0003-ledger', up: (db) => up0003(db as never) },
  { name: '0004-auth', up: (db) => up0004(db as never) },
  { name: '0010-datasets', up: (db) => up0010(db as never) },
  { name: '0020-features', up: (db) => up0020(db as never) },
  { name: '0021-feature-removal', up: (db) => up0021(db as never) },
  { name: '0030-tracking', up: (db) => up0030(db as never) },
  { name: '0040-pipelines', up: (db) => up0040(db as never) },
  { name: '0050-registry', up: (db) => up0050(db as never) },
  { name: '0060-delivery', up: (db) => up0060(db as never) },
  { name: '0061-route-signature', up: (db) => up0061(db as never) },
  { name: '0062-rollback-origin', up: (db) => up0062(db as never) },
  { name: '0063-version-hold', up: (db) => up0063(db as never) },
  { name: '0064-route-served-once', up: (db) => up0064(db as never) },
  { name: '0070-serving', up: (db) => up0070(db as never) },
  { name: '0080-monitoring', up: (db) => up0080(db as never) },
  { name: '0081-label-turns', up: (db) => up0081(db as never) },
  { name: '0090-definitions', up: (db) => up0090(db as never) },
  { name: '0091-route-by-environment', up: (db) => up0091(db as never) },
  { name: '0100-blob-retention', up: (db) => up0100(db as never) },
  { name: '0110-route-retirement', up: (db) => up0110(db as never) },
  { name: '0111-label-due', up: (db) => up0111(db as never) },
  { name: '0112-dropped-generation', up: (db) => up0112(db as never) },
  { name: '0120-gateway-latency', up: (db) => up0120(db as never) },
  { name: '0121-ledger-mark', up: (db) => up0121(db as never) },
  { name: '0130-blob-part-project', up: (db) => up0130(db as never) },
  { name: '0140-run-of-pipeline', up: (db) => up0140(db as never) },
  { name: '0150-checks-of-keys', up: (db) => up0150(db as never) },
  { name: '0160-check-of-experiments', up: (db) => up0160(db as never) },
  { name: '0170-check-of-steps', up: (db) => up0170(db as never) },
  { name: '0180-retention-classes', up: (db) => up0180(db as never) },
  { name: '0190-verdicts-and-drift', up: (db) => up0190(db as never) },
  { name: '0191-model-notes', up: (db) => up0191(db as never) },
  { name: '0200-version-last-seen', up: (db) => up0200(db as never) },
  { name: '0210-notes-in-audit', up: (db) => up0210(db as never) },
]
