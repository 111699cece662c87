import type { AttemptEnd } from './transition.ts'

export const SUCCESS: AttemptEnd = { outcome: 'succeeded', failureClass: undefined, exitCode: 0 }
export const CANCELLED: AttemptEnd = { outcome: 'cancelled', failureClass: 'cancelled', exitCode: undefined }

export function failed(failureClass: string, exitCode?: number): AttemptEnd {
  return { outcome: 'failed', failureClass, exitCode }
}
