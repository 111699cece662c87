import type { ServedRoute, Snapshot } from '@plimsoll/sdk/wire'

export const ARTIFACT = `sha256:${'a'.repeat(64)}`
export const PASSPORT = `sha256:${'b'.repeat(64)}`

export function exampleRoute(overrides: Partial<ServedRoute> = {}): ServedRoute {
  return {
    project: 'default',
    environment: 'production',
    name: 'delay',
    definition: `sha256:${'c'.repeat(64)}`,
    epoch: 1,
    release: 'rel_1',
    sloMs: 1_000,
    inputs: { distance: { type: 'int32', nullable: false }, date: { type: 'timestamp', nullable: false } },
    columns: [
      { name: 'distance', source: { from: 'input', input: 'distance' } },
      { name: 'hour', source: { from: 'time', input: 'date', part: 'hour', zone: 'America/New_York' } },
    ],
    features: null,
    arms: [{ arm: 'champion', artifact: ARTIFACT, weight: 1 }],
    payloadRate: 1,
    redacted: [],
    inflightMax: 100,
    ...overrides,
  }
}

/** A snapshot with one route to one version. */
export function exampleSnapshot(overrides: Partial<Snapshot> = {}): Snapshot {
  return {
    v: 1,
    epoch: 1,
    issuedAtMs: 1_000,
    clock: null,
    routes: [exampleRoute()],
    versions: [
      {
        artifact: ARTIFACT,
        sizeBytes: 10,
        passport: PASSPORT,
        model: 'delay',
        version: 1,
        approvals: [{ by: 'ada', artifact: ARTIFACT, passport: PASSPORT }],
        labels: {},
        columns: null,
      },
    ],
    ...overrides,
  }
}
