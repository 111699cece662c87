/** Bounds of the gateway, filled from `kernel/config` by its process. */
export interface GatewaySettings {
  readonly host: string
  readonly port: number
  readonly publicHosts: readonly string[]
  /** Asks for a token of the snapshot, for all but health. */
  readonly requireToken: boolean
  /** Keeps the snapshot, the models and the prediction segments. */
  readonly directory: string
  readonly controlUrl: string
  /** Bearer token of this gateway for the control plane. */
  readonly controlToken: string
  /** SPKI, DER, base64: the only key whose snapshots are taken. */
  readonly snapshotKey: string
  readonly connectionsMax: number
  readonly bodyBytesMax: number
  readonly headerBytesMax: number
  /** A request that has not arrived by then is answered 408. */
  readonly requestTimeoutMs: number
  readonly headersTimeoutMs: number
  readonly keepAliveTimeoutMs: number
  readonly segmentBytesMax: number
  readonly segmentAgeMs: number
  readonly spoolBytesMax: number
  /** Files of models that do not serve now are kept within this, with those that do. */
  readonly modelFilesBytesMax: number
  readonly drainMs: number
  /** A version that left the snapshot stays warm this long, so that a rollback is quick. */
  readonly retainMs: number
}

export const GATEWAY_DEFAULTS = {
  requireToken: false,
  connectionsMax: 1_024,
  bodyBytesMax: 64 << 20,
  headerBytesMax: 16_384,
  requestTimeoutMs: 60_000,
  headersTimeoutMs: 10_000,
  keepAliveTimeoutMs: 72_000,
  segmentBytesMax: 4 << 20,
  segmentAgeMs: 1_000,
  spoolBytesMax: 1 << 30,
  modelFilesBytesMax: 8 * 2 ** 30,
  drainMs: 5_000,
  retainMs: 900_000,
} as const
