import type { LiveView, liveView } from '@plimsoll/sdk/wire'
import type { z } from 'zod'
import { requireRoute } from '../delivery/index.ts'
import type { Context } from '../kernel/db/index.ts'
import { listGateways, routeFault, routeKey } from '../serving/index.ts'
import { brierScore, logLoss, rocAuc } from '../statistics/classification.ts'

const OUTCOMES_READ_MAX = 200_000
const HOURS_SHOWN_MAX = 24 * 92

/** Counts by arm and hour, and quality of the newest labelled rows. */
export async function readLive(
  ctx: Context,
  key: { route: string; environment: string },
): Promise<z.input<typeof liveView>> {
  await requireRoute(ctx, { environment: key.environment, name: key.route })
  const counts = await ctx.db
    .selectFrom('prediction_count')
    .selectAll()
    .where('project', '=', ctx.project)
    .where('environment', '=', key.environment)
    .where('route', '=', key.route)
    .orderBy('hour_ms', 'desc')
    .limit(HOURS_SHOWN_MAX)
    .execute()
  const outcomes = await ctx.db
    .selectFrom('outcome')
    .select(['release', 'arm', 'score', 'label'])
    .where('project', '=', ctx.project)
    .where('environment', '=', key.environment)
    .where('route', '=', key.route)
    .orderBy('at_ms', 'desc')
    .limit(OUTCOMES_READ_MAX)
    .execute()
  const arms = new Map<string, LiveView['arms'][number]>()
  const hours = new Map<number, number>()
  for (const count of counts) {
    const armKey = `${count.release}/${count.arm}`
    const arm = arms.get(armKey) ?? {
      release: count.release,
      arm: count.arm,
      artifact: count.artifact,
      predictions: 0,
      rows: 0,
      labelled: 0,
      unscored: 0,
      auc: null,
      brier: null,
      logLoss: null,
    }
    arm.predictions += Number(count.predictions)
    arm.rows += Number(count.row_count)
    arms.set(armKey, arm)
    hours.set(Number(count.hour_ms), (hours.get(Number(count.hour_ms)) ?? 0) + Number(count.predictions))
  }
  for (const [armKey, arm] of arms) {
    const own = outcomes.filter((outcome) => `${outcome.release}/${outcome.arm}` === armKey)
    const scored = own.filter(({ score }) => !Number.isNaN(score))
    arm.labelled = scored.length
    arm.unscored = own.length - scored.length
    Object.assign(arm, { auc: rocAuc(scored), brier: brierScore(scored), logLoss: logLoss(scored) })
  }
  const served = routeKey(key.route, key.environment)
  const list = [...arms.values()]
  return {
    route: key.route,
    environment: key.environment,
    predictions: list.reduce((sum, arm) => sum + arm.predictions, 0),
    rows: list.reduce((sum, arm) => sum + arm.rows, 0),
    labelled: list.reduce((sum, arm) => sum + arm.labelled, 0),
    unscored: list.reduce((sum, arm) => sum + arm.unscored, 0),
    arms: list,
    fault: await routeFault(ctx, key),
    hours: [...hours].sort(([a], [b]) => a - b).map(([hourMs, predictions]) => ({ hourMs, predictions })),
    gateways: (await listGateways(ctx)).map(({ view, latency }) => ({
      ...view,
      latency: Object.hasOwn(latency, served) ? latency[served]! : null,
    })),
  }
}
