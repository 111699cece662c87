import { type Client, ClientError } from '@plimsoll/sdk/client'
import { type GatewayView, gatewayView } from '@plimsoll/sdk/wire'
import { z } from 'zod'
import { realClock } from '../../kernel/clock.ts'
import { type Config, readEnvironment } from '../../kernel/config/index.ts'
import { countText } from '../../kernel/count-text.ts'
import { connect, type SharedOptions } from '../connection.ts'
import type { Finding } from './finding.ts'
import { runningPid } from './host.ts'

/** A gateway says how it is every few seconds; what it said before this has another one replaced, or nobody. */
const SEEN_MS = 60_000
const ABOUT = { group: 'what runs', name: 'gateways' } as const

const gatewayList = z.object({ gateways: z.array(gatewayView) })

function gatewayFinding({ gateway, epoch, refused }: GatewayView): Finding {
  if (refused === null) return { ...ABOUT, state: 'ok', found: `${gateway} serves epoch ${epoch}` }
  const what = refused.epoch === epoch ? 'not in all its routes' : `and serves epoch ${epoch} still`
  return {
    ...ABOUT,
    state: 'problem',
    found: `${gateway} has refused epoch ${refused.epoch}, ${what}: ${refused.reason}`,
    cost: 'What was released since does not serve there. Mend what it names, then release again or start the gateway again',
  }
}

/** By the clock of the machine that wrote down when a gateway was seen; `/health` may tell that of a replay. */
async function serverTimeMs(client: Client): Promise<number> {
  const { headers } = await client.fetch({ path: '/health' })
  return Date.parse(headers.get('date') ?? '') || realClock.nowMs()
}

async function askGateways(client: Client): Promise<Finding[]> {
  const { gateways } = await client.call({ path: '/api/v1/serving/gateways', schema: gatewayList })
  const nowMs = await serverTimeMs(client)
  const seen = gateways.filter(({ seenAt }) => nowMs - Date.parse(seenAt) < SEEN_MS)
  if (seen.length > 0) return seen.map(gatewayFinding)
  return [
    {
      ...ABOUT,
      state: 'problem',
      found: `none has reported for a minute, of ${countText(gateways.length, 'gateway')}`,
      cost: 'Nothing may answer predictions. Its log says why: end plimsoll up and start it again, or the gateway that runs apart',
    },
  ]
}

/** What the platform that runs on this data directory, or at the address that is named, says of its gateways; else nothing. */
export async function runningFindings(options: SharedOptions, { dataDir }: Config): Promise<Finding[]> {
  const server = options.server ?? (options.dataDir === undefined ? readEnvironment().PLIMSOLL_SERVER : undefined)
  if (server === undefined && runningPid(dataDir) === undefined) return []
  const { client } = connect({ ...options, ...(server === undefined ? { dataDir } : { server }) })
  try {
    return await askGateways(client)
  } catch (thrown) {
    if (!(thrown instanceof ClientError)) throw thrown
    const { message, status, action } = thrown
    const cost = `Whether its gateways take what they are to serve is not known. ${action ?? ''}`.trim()
    return [{ ...ABOUT, state: status >= 500 ? 'problem' : 'missing', found: message, cost }]
  }
}
