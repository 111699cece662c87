import type { z } from 'zod'
import { type ModelDefinition, modelDefinition, shownValue } from '../wire/definition/index.ts'
import { defined, listOf } from './refusal.ts'

type Gate = ModelDefinition['gates'][number]

/** The metric may fall behind the champion's by `margin` at most, at the lower end of its interval. */
export function nonInferior(metric: string, options: { to: 'champion'; margin: number }): Gate {
  return { type: 'non-inferior', kwargs: { metric, to: options.to, margin: options.margin } }
}

/** No protected slice may get worse; watched ones are shown. */
export function slices(options: { protected: readonly string[]; watch?: readonly string[] }): Gate {
  return {
    type: 'slices',
    kwargs: {
      protected: listOf('slices, protected', options.protected),
      watch: listOf('slices, watch', options.watch ?? []),
    },
  }
}

/** A latency percentile on named hardware, for example `latency('p99', '<=', '5ms')`. */
export function latency(percentile: 'p50' | 'p95' | 'p99', operator: '<=', limit: string): Gate {
  return { type: 'latency', kwargs: { percentile, operator, limit } }
}

/** Share of served feature values that equal the offline ones. */
export function parity(operator: '>=', share: number): Gate {
  return { type: 'parity', kwargs: { operator, share } }
}

/** Declares a registered model: its gates, the approvals that each environment needs, its purpose and limits. */
export function defineModel(options: Omit<z.input<typeof modelDefinition>, 'kind'>): ModelDefinition {
  return defined(modelDefinition, `Cannot define model ${shownValue(options?.name)}`, { ...options, kind: 'model' })
}
