import { toPlimsollError } from '../errors.ts'
import type { Metrics } from '../telemetry/index.ts'
import type { Context } from './context.ts'

interface CountedGauge<L extends string> {
  readonly name: string
  readonly help: string
  readonly label: L
  /** Counts by the label's value. */
  count(ctx: Context): Promise<Readonly<Record<string, bigint>>>
}

/** Adds a gauge of what the database holds, counted when it is asked for. Left out while the database is away. */
export function observeCounts<L extends string>(ctx: Context, metrics: Metrics, counted: CountedGauge<L>): void {
  const { name, help, label } = counted
  metrics.gauge(name, help, [label], async (gauge) => {
    try {
      for (const [value, count] of Object.entries(await counted.count(ctx)))
        gauge.set({ [label]: value } as Record<L, string>, Number(count)) // one label
    } catch (error) {
      gauge.reset()
      ctx.log.warn({ error: toPlimsollError(error).message }, `counting for ${name} failed`)
    }
  })
}
