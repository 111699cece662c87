import { readFile } from 'node:fs/promises'
import type { GatewayStatus } from '@plimsoll/sdk/wire'
import type { Clock } from '../../kernel/clock.ts'
import { toPlimsollError } from '../../kernel/errors.ts'
import type { Logger } from '../../kernel/log.ts'
import type { ControlLink } from './control-link.ts'
import type { Gateway } from './gateway.ts'
import type { PredictionLog } from './prediction-log.ts'

const RETRY_MS = [250, 500, 1_000, 2_000, 5_000]
const STATUS_EVERY_MS = 5_000
/** A snapshot that was refused for a passing reason is asked for again after this. */
const REFUSED_PAUSE_MS = 2_000

export interface LoopDeps {
  readonly gateway: Gateway
  readonly link: ControlLink
  readonly log: PredictionLog
  readonly clock: Clock
  readonly logger: Logger
  readonly pollMs: number
  readonly rotateMs: number
  readonly isDraining: () => boolean
  readonly latency: () => GatewayStatus['latency']
}

export interface GatewayLoops {
  /** Tells the control plane of a change now. */
  wakeStatus(): void
  /** Ships what is left, for at most `ms`, then stops. */
  close(ms: number): Promise<void>
}

/** A segment that the control plane finds bad is put aside: the next ones shall not wait for it. */
async function shipPending({ gateway, link, log }: LoopDeps): Promise<void> {
  for (const segment of log.pending()) {
    const { boot, sequence, path } = segment
    try {
      await link.sendSegment(gateway.name, boot, sequence, await readFile(path))
    } catch (thrown) {
      const error = toPlimsollError(thrown)
      if (error.kind !== 'invalid') throw error
      log.refuse(segment, error.message)
      continue
    }
    log.acknowledge(segment)
  }
}

/** The gateway's three background loops: newer snapshots, closed segments, its own state. Each outlives a dead control plane. */
export function openGatewayLoops(deps: LoopDeps): GatewayLoops {
  const stop = new AbortController()
  const { signal } = stop
  let wakeStatus = () => {}
  let wasUp = true

  const pause = (ms: number) => deps.clock.sleep(ms, signal).catch(() => {})
  /** Repeats a step until closed; failures back off and are logged once per outage. */
  const loop = async (name: string, step: () => Promise<void>) => {
    for (let failures = 0; !signal.aborted; ) {
      try {
        await step()
        if (failures > 0) deps.logger.info({ loop: name }, 'the control plane answers again')
        failures = 0
        wasUp = true
      } catch (thrown) {
        if (signal.aborted) return
        if (wasUp)
          deps.logger.warn(
            { loop: name, reason: toPlimsollError(thrown).message },
            'the control plane does not answer; predictions go on',
          )
        wasUp = false
        await pause(RETRY_MS[Math.min(failures++, RETRY_MS.length - 1)]!)
      }
    }
  }

  const takeSnapshots = async () => {
    const known = deps.gateway.settledEpoch()
    const signed = await deps.link.awaitSnapshot(known, deps.pollMs, signal)
    if (!signed) return
    await deps.gateway.offer(signed)
    if (deps.gateway.settledEpoch() === known) await pause(REFUSED_PAUSE_MS)
  }
  const shipSegments = async () => {
    deps.log.rotate()
    await shipPending(deps)
    await pause(deps.rotateMs)
  }
  const sendStatus = async () => {
    const live = deps.gateway.live()
    const status: GatewayStatus = {
      boot: deps.log.boot,
      epoch: live?.snapshot.epoch ?? 0,
      state: deps.isDraining() ? 'draining' : live ? 'ready' : 'starting',
      refused: deps.gateway.refused(),
      spooledBytes: deps.log.spooledBytes(),
      latency: deps.latency(),
    }
    await deps.link.sendStatus(deps.gateway.name, status)
    await Promise.race([
      pause(STATUS_EVERY_MS),
      new Promise<void>((resolve) => {
        wakeStatus = resolve
      }),
    ])
  }
  const running = Promise.all([
    loop('snapshot', takeSnapshots),
    loop('segments', shipSegments),
    loop('status', sendStatus),
  ])

  return {
    wakeStatus: () => wakeStatus(),
    async close(ms) {
      deps.log.close()
      await Promise.race([shipPending(deps).catch(() => {}), deps.clock.sleep(ms)])
      stop.abort()
      wakeStatus()
      await running
    },
  }
}
