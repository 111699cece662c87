import { type ErrorDetails, PlimsollError } from '../kernel/errors.ts'

/** A deterministic refusal whose text MLflow clients show as it stands. */
export function refusal(message: string, details: ErrorDetails = {}): PlimsollError {
  return new PlimsollError('invalid', 'tracking.invalid_parameter', message, details)
}

export function missing(code: string, message: string): PlimsollError {
  return new PlimsollError('not_found', `tracking.${code}`, message)
}
