import type { IncomingMessage } from 'node:http'
import { findRefusal, type PredictionDeps, type Timing } from './predict.ts'
import { discardBody, readBody } from './request-body.ts'

export interface AdmissionDeps extends PredictionDeps {
  readonly settings: { readonly bodyBytesMax: number }
}

/** A request, and how to ask for its body where its client waits with that (`Expect: 100-continue`). */
export interface Arrival {
  readonly request: IncomingMessage
  readonly askForBody: (() => void) | undefined
}

/**
 * The body of a request to a route, unless it is to be refused whatever it says: then it is neither kept nor parsed, and
 * not asked for.
 * @throws what `findRefusal` found, and as `readBody`
 */
export async function readAdmitted(
  deps: AdmissionDeps,
  { request, askForBody }: Arrival,
  route: string,
  timing: Timing,
): Promise<Uint8Array> {
  const { bodyBytesMax } = deps.settings
  const refusal = findRefusal(deps, route, timing)
  if (!refusal) return readBody(request, bodyBytesMax, askForBody)
  if (!askForBody) await discardBody(request, bodyBytesMax)
  throw refusal
}
