import type { ServedArm, ServedRoute, ServedVersion, Snapshot } from '@plimsoll/sdk/wire'
import type { ModelInterface, ModelPool } from '../../inference/index.ts'
import { type Clock, replayClock } from '../../kernel/clock.ts'
import { ERROR_KINDS, PlimsollError, toPlimsollError } from '../../kernel/errors.ts'
import type { Logger } from '../../kernel/log.ts'
import { type CompiledRoute, compileRoute, type FeatureLookup } from './compiled-route.ts'
import type { ModelFiles } from './model-files.ts'

/** A snapshot whose models are loaded: what requests are answered from. Replaced whole. */
export interface LiveState {
  readonly snapshot: Snapshot
  readonly clock: Clock
  /** By name, `name@environment` for environments other than production. */
  readonly routes: ReadonlyMap<string, LiveRoute>
  readonly versions: ReadonlyMap<string, ServedVersion>
  readonly interfaces: ReadonlyMap<string, ModelInterface>
  /** Routes that the snapshot has and that cannot answer here, with the reason. */
  readonly unready: ReadonlyMap<string, string>
  /** Whose tokens are taken, by their hash, where tokens are asked for. */
  readonly callers: ReadonlyMap<string, Caller>
  /** Why one of the routes is not as the snapshot says; null when all are. */
  readonly fault: string | null
  /** False while a fault may pass: a model that cannot be fetched now. */
  readonly isSettled: boolean
}

export interface Caller {
  /** `*`: all projects. */
  readonly project: string
  readonly expiresAtMs: number
}

export interface LiveRoute extends CompiledRoute {
  /** Epoch of the snapshot that it comes from: one before the live one where that says what cannot be made ready. */
  readonly snapshot: number
  inflight: number
  /** By arm: what its records have in common, as text. */
  readonly identities: Map<string, string>
}

export interface LiveStateDeps {
  readonly files: ModelFiles
  readonly pool: ModelPool
  readonly clock: Clock
  readonly log: Logger
  readonly openFeatures: (spec: unknown, clock: Clock) => FeatureLookup
}

/** The version that an arm serves. */
export function versionOf(live: Pick<LiveState, 'versions'>, arm: ServedArm): ServedVersion {
  return live.versions.get(arm.version ?? arm.artifact)! // verified with the snapshot
}

/** The arm that a client names by its version's number, or as it is called itself. */
export function findArm(live: LiveState, { route }: LiveRoute, name: string): ServedArm | undefined {
  return route.arms.find((arm) => String(versionOf(live, arm).version) === name || arm.arm === name)
}

export function routeKey(name: string, environment: string): string {
  return environment === 'production' ? name : `${name}@${environment}`
}

/** @throws unavailable serving.route_unready, and `unknown` for a route that the snapshot does not have */
export function requireLiveRoute(
  live: Pick<LiveState, 'routes' | 'unready'>,
  name: string,
  unknown: () => PlimsollError,
): LiveRoute {
  const entry = live.routes.get(name)
  if (entry) return entry
  const reason = live.unready.get(name)
  if (reason === undefined) throw unknown()
  throw new PlimsollError(
    'unavailable',
    'serving.route_unready',
    `Cannot predict: route ${name} is not ready on this gateway: ${reason}`,
    { retryAfterMs: 2_000 },
  )
}

const mayPass = ({ kind }: PlimsollError) => ERROR_KINDS[kind].retry || kind === 'internal'

/** Models of a snapshot, each loaded, and why the others could not be. */
async function loadModels(content: Snapshot, deps: LiveStateDeps, previous: LiveState | undefined) {
  const interfaces = new Map<string, ModelInterface>()
  const failed = new Map<string, PlimsollError>()
  for (const { artifact, sizeBytes } of content.versions) {
    if (interfaces.has(artifact) || failed.has(artifact)) continue
    // Tried again for another model's sake: this one has been verified and serves.
    const known = previous?.snapshot.epoch === content.epoch ? previous.interfaces.get(artifact) : undefined
    try {
      const load = async () => deps.pool.load({ digest: artifact, path: await deps.files.require(artifact, sizeBytes) })
      interfaces.set(artifact, known ?? (await load()))
    } catch (thrown) {
      failed.set(artifact, toPlimsollError(thrown))
    }
  }
  return { interfaces, failed }
}

/** A route that cannot be made ready keeps what it served in `previous`, or is left out, and harms no other. */
export async function loadState(
  content: Snapshot,
  deps: LiveStateDeps,
  previous: LiveState | undefined,
): Promise<LiveState> {
  let fault: string | null = null
  let isSettled = true
  const versions = new Map(content.versions.map((version) => [version.key ?? version.artifact, version]))
  const { interfaces, failed } = await loadModels(content, deps, previous)
  const clock = content.clock ? replayClock(content.clock, deps.clock) : deps.clock
  const routes = new Map<string, LiveRoute>()
  const unready = new Map<string, string>()
  const ready = (route: ServedRoute, known: LiveRoute | undefined): LiveRoute => {
    for (const { artifact } of route.arms) if (failed.has(artifact)) throw failed.get(artifact)
    if (known?.snapshot === content.epoch) return known
    const features = route.features === null ? undefined : deps.openFeatures(route.features, clock)
    return { ...compileRoute(route, features), snapshot: content.epoch, inflight: 0, identities: new Map() }
  }
  const keep = (key: string, kept: LiveRoute, { interfaces: models, ...state }: LiveState) => {
    routes.set(key, kept)
    for (const arm of kept.route.arms) {
      versions.set(arm.version ?? arm.artifact, versionOf(state, arm))
      interfaces.set(arm.artifact, models.get(arm.artifact)!) // it served with it
    }
  }
  for (const route of content.routes) {
    const key = routeKey(route.name, route.environment)
    if (routes.has(key) || unready.has(key)) {
      // The control plane refuses it; were it ever so, the others must not stand still for it.
      deps.log.error(
        { route: key, project: route.project },
        'two projects serve a route of this name; the first is kept',
      )
      continue
    }
    const known = previous?.routes.get(key)
    try {
      routes.set(key, ready(route, known))
    } catch (thrown) {
      const error = toPlimsollError(thrown)
      if (mayPass(error)) isSettled = false
      fault ??= `route ${key}: ${error.message}`
      const before = known ? 'it serves what it served before' : 'it answers nothing'
      deps.log.error({ route: key, reason: error.message }, `a route cannot be made ready; ${before}`)
      if (previous && known) keep(key, known, previous)
      else unready.set(key, error.message)
    }
  }
  const callers = new Map((content.callers ?? []).map((caller) => [caller.hash, caller]))
  return { snapshot: content, clock, routes, versions, interfaces, unready, callers, fault, isSettled }
}
