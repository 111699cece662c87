import { type GatewayStatus, type GatewayView, gatewayList, gatewayStatus, takenStatus } from '@plimsoll/sdk/wire'
import { sql } from 'kysely'
import { z } from 'zod'
import type { Context } from '../../kernel/db/index.ts'
import { type AnyEndpoint, endpoint } from '../../kernel/http/index.ts'

const LISTED_MAX = 1_000

export const gatewayName = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/)

/** Every gateway that has reported, by name, with what its routes' answers took. They serve all projects. */
export async function listGateways(ctx: Context): Promise<{ view: GatewayView; latency: GatewayStatus['latency'] }[]> {
  const rows = await ctx.db
    .selectFrom('gateway_status')
    .select(['gateway', 'epoch', 'state', 'seen_at', 'refused', 'latency'])
    .orderBy('gateway')
    .limit(LISTED_MAX)
    .execute()
  return rows.map(({ seen_at, refused, latency, ...row }) => ({
    view: { ...row, seenAt: seen_at.toISOString(), refused: refused as GatewayView['refused'] }, // stored as JSON
    latency,
  }))
}

/** How gateways say that they are, and who asks. */
export function gatewayEndpoints(): AnyEndpoint[] {
  return [
    endpoint({
      method: 'GET',
      path: '/api/v1/serving/gateways',
      scope: 'viewer',
      summary: 'Gateways that have reported, with the epoch that each serves and what it refused',
      response: gatewayList,
      handler: async ({ ctx }) => ({ gateways: (await listGateways(ctx)).map(({ view }) => view) }),
    }),
    endpoint({
      method: 'PUT',
      path: '/api/v1/serving/gateways/:gateway/status',
      scope: 'operator',
      summary: 'A gateway says how it is',
      params: z.strictObject({ gateway: gatewayName }),
      body: gatewayStatus,
      response: takenStatus,
      handler: async ({ ctx, params, body }) => {
        const row = {
          boot: body.boot,
          epoch: body.epoch,
          state: body.state,
          refused: body.refused === null ? null : JSON.stringify(body.refused),
          spooled_bytes: BigInt(body.spooledBytes),
          latency: JSON.stringify(body.latency),
          seen_at: sql<Date>`clock_timestamp()`, // a replay's time says nothing of a process
        }
        await ctx.transaction((tx) =>
          tx.db
            .insertInto('gateway_status')
            .values({ gateway: params.gateway, ...row })
            .onConflict((conflict) => conflict.column('gateway').doUpdateSet(row))
            .execute(),
        )
        return {}
      },
    }),
  ]
}
