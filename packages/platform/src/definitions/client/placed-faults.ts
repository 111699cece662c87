import { ClientError } from '@plimsoll/sdk/client'
import type { ReadProject } from './evaluate.ts'

/** What the domains say of a definition that they do not take. */
const REFUSED = /^Cannot declare ([a-z ]+) "([^"]+)"/

/** Stands for faults that are not listed. */
const LEFT_OUT = /^and \d+ more faults?$/

function pathOf(pointer: string): string[] {
  const parts = pointer.split('/').slice(1)
  return parts.map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
}

/** The same failure, with the line of each fault where the project knows it. */
export function placeFaults({ lineOf }: Pick<ReadProject, 'lineOf'>, failure: unknown): unknown {
  if (!(failure instanceof ClientError)) return failure
  const { status, code, message, action, requestId } = failure
  const [, kind, name] = REFUSED.exec(message) ?? []
  if (kind === undefined || name === undefined) return failure
  const of = { kind: kind.replaceAll(' ', '-'), name }
  const faults = failure.faults.map(({ pointer, detail }) => ({
    pointer,
    detail: LEFT_OUT.test(detail) ? detail : `${lineOf(of, pathOf(pointer))}${detail}`,
  }))
  return new ClientError({ status, code, detail: message, action, faults, requestId })
}
