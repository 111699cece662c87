import { join } from 'node:path'
import type { GatewayStatus, SignedSnapshot, Snapshot } from '@plimsoll/sdk/wire'
import { ERROR_KINDS, toPlimsollError } from '../../kernel/errors.ts'
import type { ControlLink } from './control-link.ts'
import { type LiveState, type LiveStateDeps, loadState } from './live-state.ts'
import { loadSnapshot, storeSnapshot, verifySnapshot } from './snapshot-file.ts'
import { openWarmModels } from './warm-models.ts'

export interface GatewayDeps extends LiveStateDeps {
  readonly directory: string
  readonly snapshotKey: string
  readonly retainMs: number
  readonly link: ControlLink
  /** Told after every change of the live state. */
  readonly onChange: () => void
}

export interface Gateway {
  readonly name: string
  live(): LiveState | undefined
  refused(): GatewayStatus['refused']
  /** Epoch up to which nothing need be asked for again: the live one, or a signed one that can never be taken. */
  settledEpoch(): number
  /**
   * Takes a snapshot when it is newer and valid; true when nothing of it need be tried again. An invalid one leaves
   * everything as it was, and a route that cannot be made ready leaves that route.
   */
  offer(signed: SignedSnapshot): Promise<boolean>
  /** Starts from what is kept on disk. */
  restore(): Promise<void>
  close(): void
}

const EMPTY_EPOCH = -1

export function openGateway(name: string, deps: GatewayDeps): Gateway {
  const path = join(deps.directory, 'snapshot.json')
  let live: LiveState | undefined
  let refused: GatewayStatus['refused'] = null
  let hopelessEpoch = EMPTY_EPOCH
  let offering: Promise<unknown> = Promise.resolve()
  const models = openWarmModels(deps)

  /** The live epoch, or the one before while something of it is to be tried again. */
  const doneEpoch = () => (live ? live.snapshot.epoch - (live.isSettled ? 0 : 1) : EMPTY_EPOCH)
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
      if (content.epoch <= doneEpoch()) return false
      const next = await load(content)
      // Until all of it is ready, a restart begins with the one before.
      if (next.isSettled) await storeSnapshot(path, signed)
      refused = next.fault === null ? null : refusalOf(signed, next.fault)
      swap(next)
      deps.log.info({ epoch: content.epoch, routes: content.routes.length }, 'snapshot taken')
      return next.isSettled
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
    settledEpoch: () => Math.max(doneEpoch(), hopelessEpoch),
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
