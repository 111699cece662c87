import type { IncomingMessage } from 'node:http'
import { findRefusal, type PredictionDeps, type Timing } from './predict.ts'
import { discardBody, readBody } from './request-body.ts'

export interface AdmissionDeps extends PredictionDeps {
  readonly settings: { readonly bodyBytesMax: number }
}

/**
 * The body of a request to a route, unless it is to be refused whatever it says: then it is neither kept nor parsed.
 * @throws what `findRefusal` found, and as `readBody`
 */
export async function readAdmitted(
  deps: AdmissionDeps,
  request: IncomingMessage,
  route: string,
  timing: Timing,
): Promise<Uint8Array> {
  const refusal = findRefusal(deps, route, timing)
  if (!refusal) return readBody(request, deps.settings.bodyBytesMax)
  await discardBody(request, deps.settings.bodyBytesMax)
  throw refusal
}
