import { join } from 'node:path'
import type { GatewayStatus, ServedArm, ServedVersion, SignedSnapshot, Snapshot } from '@plimsoll/sdk/wire'
import type { ModelInterface, ModelPool } from '../../inference/index.ts'
import type { Clock } from '../../kernel/clock.ts'
import { replayClock } from '../../kernel/clock.ts'
import { ERROR_KINDS, toPlimsollError } from '../../kernel/errors.ts'
import type { Logger } from '../../kernel/log.ts'
import { type CompiledRoute, compileRoute, type FeatureLookup } from './compiled-route.ts'
import type { ControlLink } from './control-link.ts'
import type { ModelFiles } from './model-files.ts'
import { loadSnapshot, storeSnapshot, verifySnapshot } from './snapshot-file.ts'
import { openWarmModels } from './warm-models.ts'

/** A snapshot whose models are loaded: what requests are answered from. Replaced whole. */
export interface LiveState {
  readonly snapshot: Snapshot
  readonly clock: Clock
  /** By name, `name@environment` for environments other than production. */
  readonly routes: ReadonlyMap<string, LiveRoute>
  readonly versions: ReadonlyMap<string, ServedVersion>
  readonly interfaces: ReadonlyMap<string, ModelInterface>
  /** Why one of the routes is not as the snapshot says; null when all are. */
  readonly fault: string | null
}

export interface LiveRoute extends CompiledRoute {
  /** Epoch of the snapshot that it comes from: one before the live one where that says what cannot be compiled. */
  readonly snapshot: number
  inflight: number
  /** By arm: what its records have in common, as text. */
  readonly identities: Map<string, string>
}

export interface GatewayDeps {
  readonly directory: string
  readonly snapshotKey: string
  readonly retainMs: number
  readonly link: ControlLink
  readonly files: ModelFiles
  readonly pool: ModelPool
  readonly clock: Clock
  readonly log: Logger
  readonly openFeatures: (spec: unknown, clock: Clock) => FeatureLookup
  /** Told after every change of the live state. */
  readonly onChange: () => void
}

export interface Gateway {
  readonly name: string
  live(): LiveState | undefined
  refused(): GatewayStatus['refused']
  /** Epoch up to which nothing need be asked for again: the live one, or a signed one that can never be taken. */
  settledEpoch(): number
  /** Takes a snapshot when it is newer, valid and loadable; a refused one leaves everything as it was. */
  offer(signed: SignedSnapshot): Promise<boolean>
  /** Starts from what is kept on disk. */
  restore(): Promise<void>
  close(): void
}

const EMPTY_EPOCH = -1

/** The version that an arm serves. */
export function versionOf(live: Pick<LiveState, 'versions'>, arm: ServedArm): ServedVersion {
  return live.versions.get(arm.version ?? arm.artifact)! // verified with the snapshot
}

export function routeKey(name: string, environment: string): string {
  return environment === 'production' ? name : `${name}@${environment}`
}

export function openGateway(name: string, deps: GatewayDeps): Gateway {
  const path = join(deps.directory, 'snapshot.json')
  let live: LiveState | undefined
  let refused: GatewayStatus['refused'] = null
  let hopelessEpoch = EMPTY_EPOCH
  let offering: Promise<unknown> = Promise.resolve()
  const models = openWarmModels(deps)

  const swap = (next: LiveState): void => {
    live = next
    deps.onChange()
  }
  /** A snapshot with its models loaded. None of them leaves while the others load, whatever its time. */
  const load = (content: Snapshot): Promise<LiveState> => {
    models.need(content.versions.map((version) => version.artifact))
    return loadState(content, deps, live)
  }
  /** What does not serve now may leave when its time has come, also what a refused snapshot has loaded. */
  const settle = (): Promise<void> => models.settle([...(live?.interfaces.keys() ?? [])])

  const take = async (signed: SignedSnapshot): Promise<boolean> => {
    let content: Snapshot | undefined
    try {
      content = verifySnapshot(signed, deps.snapshotKey)
      if (content.epoch <= (live?.snapshot.epoch ?? EMPTY_EPOCH)) return false
      const next = await load(content)
      await storeSnapshot(path, signed)
      refused = next.fault === null ? null : refusalOf(signed, next.fault)
      swap(next)
      deps.log.info({ epoch: content.epoch, routes: content.routes.length }, 'snapshot taken')
      return true
    } catch (thrown) {
      const error = toPlimsollError(thrown)
      if (content && !ERROR_KINDS[error.kind].retry && error.kind !== 'internal')
        hopelessEpoch = Math.max(hopelessEpoch, content.epoch)
      refused = refusalOf(signed, error.message)
      deps.log.warn({ code: error.code, reason: error.message }, 'snapshot refused; the one before stays')
      deps.onChange()
      return false
    } finally {
      await settle()
    }
  }

  return {
    name,
    live: () => live,
    refused: () => refused,
    settledEpoch: () => Math.max(live?.snapshot.epoch ?? EMPTY_EPOCH, hopelessEpoch),
    offer(signed) {
      const taken = offering.then(() => take(signed))
      offering = taken
      return taken
    },
    async restore() {
      try {
        const kept = await loadSnapshot(path, deps.snapshotKey)
        if (!kept) return
        const next = await load(kept.content)
        refused = next.fault === null ? null : refusalOf(kept.signed, next.fault)
        swap(next)
      } catch (thrown) {
        deps.log.error(
          { error: toPlimsollError(thrown).message },
          'the kept snapshot cannot be used; waiting for the control plane',
        )
      } finally {
        await settle()
      }
    },
    close: models.close,
  }
}

function refusalOf(signed: SignedSnapshot, reason: string): NonNullable<GatewayStatus['refused']> {
  return { epoch: epochOf(signed), reason: reason.slice(0, 2_000) }
}

function epochOf(signed: SignedSnapshot): number {
  try {
    return Number((JSON.parse(signed.payload) as { epoch?: unknown }).epoch) || 0
  } catch {
    return 0
  }
}

/** A route that cannot be compiled keeps what it served in `previous`, or is left out, and harms no other. */
async function loadState(content: Snapshot, deps: GatewayDeps, previous: LiveState | undefined): Promise<LiveState> {
  let fault: string | null = null
  const versions = new Map(content.versions.map((version) => [version.key ?? version.artifact, version]))
  const interfaces = new Map<string, ModelInterface>()
  for (const version of versions.values()) {
    if (interfaces.has(version.artifact)) continue
    const file = await deps.files.require(version.artifact, version.sizeBytes)
    interfaces.set(version.artifact, await deps.pool.load({ digest: version.artifact, path: file }))
  }
  const clock = content.clock ? replayClock(content.clock, deps.clock) : deps.clock
  const routes = new Map<string, LiveRoute>()
  for (const route of content.routes) {
    const key = routeKey(route.name, route.environment)
    if (routes.has(key)) {
      // The control plane refuses it; were it ever so, the others must not stand still for it.
      deps.log.error(
        { route: key, project: route.project },
        'two projects serve a route of this name; the first is kept',
      )
      continue
    }
    try {
      const features = route.features === null ? undefined : deps.openFeatures(route.features, clock)
      routes.set(key, { ...compileRoute(route, features), snapshot: content.epoch, inflight: 0, identities: new Map() })
    } catch (thrown) {
      const error = toPlimsollError(thrown)
      if (ERROR_KINDS[error.kind].retry || error.kind === 'internal') throw thrown
      fault ??= `route ${key}: ${error.message}`
      deps.log.error(
        { route: key, reason: error.message },
        'a route cannot be compiled; it serves what it served before',
      )
      const kept = previous?.routes.get(key)
      if (!previous || !kept) continue
      routes.set(key, kept)
      for (const arm of kept.route.arms) {
        versions.set(arm.version ?? arm.artifact, versionOf(previous, arm))
        interfaces.set(arm.artifact, previous.interfaces.get(arm.artifact)!) // it served with it
      }
    }
  }
  return { snapshot: content, clock, routes, versions, interfaces, fault }
}
