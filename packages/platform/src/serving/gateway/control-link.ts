import { awaitedSnapshot, type GatewayStatus, type SignedSnapshot } from '@plimsoll/sdk/wire'
import { PlimsollError } from '../../kernel/errors.ts'
import { answerText } from '../../kernel/http/answer-text.ts'

/** What the gateway asks of the control plane. Each call fails with `unavailable` while it is down. */
export interface ControlLink {
  /** Waits up to `waitMs` for a snapshot newer than `epoch`; undefined when there is none. */
  awaitSnapshot(epoch: number, waitMs: number, signal: AbortSignal): Promise<SignedSnapshot | undefined>
  fetchBlob(digest: string): AsyncIterable<Uint8Array>
  sendStatus(gateway: string, status: GatewayStatus): Promise<void>
  /** Idempotent by (gateway, boot, sequence). */
  sendSegment(gateway: string, boot: string, sequence: number, bytes: Uint8Array): Promise<void>
}

/** Answers that stay the same however often one asks. */
const REFUSED = new Set([400, 413, 415, 422])
const REQUEST_TIMEOUT_MS = 30_000
const REFUSAL_BYTES_MAX = 64 << 10
/** Some thousand routes, each with its signature and its features. */
const SNAPSHOT_BYTES_MAX = 64 << 20

/** What a problem document says is wrong; of any other answer its beginning. */
function reasonOf(text: string): string {
  try {
    const { detail, code } = JSON.parse(text) as { detail?: unknown; code?: unknown } // checked on the next line
    if (typeof detail === 'string' && typeof code === 'string') return `${detail.slice(0, 500)} (${code})`
  } catch {
    // no document
  }
  return text.slice(0, 500)
}

async function snapshotBody(response: Response): Promise<unknown> {
  try {
    return JSON.parse(await answerText(response, SNAPSHOT_BYTES_MAX))
  } catch (error) {
    throw new PlimsollError(
      'unavailable',
      'serving.control_answer',
      `Cannot read the snapshot that the control plane sent: ${(error as Error).message}`,
      {},
      error,
    )
  }
}

export function openControlLink(url: string, token: string): ControlLink {
  const call = async (path: string, init: RequestInit, timeoutMs = REQUEST_TIMEOUT_MS): Promise<Response> => {
    const deadline = AbortSignal.timeout(timeoutMs)
    let response: Response
    try {
      response = await fetch(`${url}${path}`, {
        ...init,
        headers: { ...init.headers, authorization: `Bearer ${token}` },
        signal: init.signal ? AbortSignal.any([init.signal, deadline]) : deadline,
        redirect: 'error',
      })
    } catch (error) {
      throw new PlimsollError(
        'unavailable',
        'serving.control_unreachable',
        `Cannot reach the control plane at ${url}`,
        {},
        error,
      )
    }
    if (!response.ok) {
      const text = await answerText(response, REFUSAL_BYTES_MAX).catch(() => 'more than a reason')
      throw new PlimsollError(
        REFUSED.has(response.status) ? 'invalid' : 'unavailable',
        'serving.control_refused',
        `The control plane answered ${response.status} to ${path}: ${reasonOf(text)}`,
      )
    }
    return response
  }
  return {
    async awaitSnapshot(epoch, waitMs, signal) {
      const response = await call(
        `/api/v1/serving/snapshot?after=${epoch}&wait_ms=${waitMs}`,
        { signal },
        waitMs + REQUEST_TIMEOUT_MS,
      )
      const answer = awaitedSnapshot.nullable().parse(await snapshotBody(response))
      return answer?.snapshot ?? undefined
    },
    async *fetchBlob(digest) {
      const response = await call(`/api/v1/blobs/${digest}`, {}, 600_000)
      if (response.body) yield* response.body
    },
    async sendStatus(gateway, status) {
      await call(`/api/v1/serving/gateways/${gateway}/status`, {
        method: 'PUT',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(status),
      })
    },
    async sendSegment(gateway, boot, sequence, bytes) {
      await call(`/api/v1/serving/segments/${gateway}/${boot}/${sequence}`, {
        method: 'PUT',
        headers: { 'content-type': 'application/octet-stream' },
        body: new Uint8Array(bytes),
      })
    },
  }
}
