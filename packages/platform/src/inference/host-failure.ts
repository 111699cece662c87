import { PlimsollError } from '../kernel/errors.ts'
import { OPERATIONS, readHeader, readJson } from './frame.ts'
import type { HostFailure } from './host-server.ts'

/** Source locations and addresses of the runtime; a caller needs neither. */
const INTERNALS = /(\/[\w.+-]+){2,}(:\d+)?|0x[0-9a-f]{6,}/g

const actionOf = ({ action }: HostFailure) => (action === undefined ? {} : { action })

/** The error that a host answered with, or undefined when the frame is a result. */
export function failureOf(frame: Buffer, action: string): PlimsollError | undefined {
  if (readHeader(frame).operation !== OPERATIONS.failed) return undefined
  const failure = readJson(frame) as HostFailure // written by our own host
  if (failure.code !== 'inference.runtime_refused')
    return new PlimsollError(failure.kind, failure.code, failure.message, actionOf(failure))
  const reason = failure.message.replaceAll(INTERNALS, '…').trim()
  return action === 'load'
    ? new PlimsollError(
        'invalid',
        'inference.model_refused',
        `Cannot load the model: the runtime refused it: ${reason}`,
      )
    : new PlimsollError('invalid', 'inference.run_failed', `Cannot infer: the model refused these inputs: ${reason}`)
}
