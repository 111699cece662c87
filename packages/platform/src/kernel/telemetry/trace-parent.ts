import { randomHex } from '../ids.ts'

/** Where a request stands in a distributed trace. @source W3C Trace Context, level 1 */
export interface TraceContext {
  /** 32 hex digits. */
  readonly traceId: string
  /** 16 hex digits: the span that calls. */
  readonly spanId: string
  readonly isSampled: boolean
}

const FORM = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?$/

/** The context of a `traceparent` header, or undefined when it is absent or not valid: then a new trace begins. */
export function parseTraceParent(header: string | undefined): TraceContext | undefined {
  const [, version, traceId, spanId, flags] = FORM.exec(header ?? '') ?? []
  if (version === undefined || traceId === undefined || spanId === undefined || flags === undefined) return undefined
  if (version === 'ff' || (version === '00' && header!.length !== 55) || /^0+$/.test(traceId) || /^0+$/.test(spanId))
    return undefined
  return { traceId, spanId, isSampled: (Number.parseInt(flags, 16) & 1) === 1 }
}

export function formatTraceParent(context: TraceContext): string {
  return `00-${context.traceId}-${context.spanId}-${context.isSampled ? '01' : '00'}`
}

/** The context that a call of ours carries on: same trace, new span. */
export function childTrace(parent: TraceContext | undefined): TraceContext {
  return { traceId: parent?.traceId ?? randomHex(16), spanId: randomHex(8), isSampled: parent?.isSampled ?? false }
}
