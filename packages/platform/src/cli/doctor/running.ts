import { type Client, ClientError, openClient } from '@plimsoll/sdk/client'
import { type GatewayView, gatewayList } from '@plimsoll/sdk/wire'
import { realClock } from '../../kernel/clock.ts'
import { type Config, readEnvironment } from '../../kernel/config/index.ts'
import { countText } from '../../kernel/count-text.ts'
import { connect, type SharedOptions } from '../connection.ts'
import type { Finding } from './finding.ts'
import { runningPid } from './host.ts'

/** A gateway says how it is every few seconds; what it said before this has another one replaced, or nobody. */
const SEEN_MS = 60_000
const ABOUT = { group: 'what runs', name: 'gateways' } as const

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

const GATEWAYS = { path: '/api/v1/serving/gateways', schema: gatewayList } as const

/** Whether somebody without a token is refused; what does not answer tells nothing. */
async function asksForToken(server: string): Promise<boolean | undefined> {
  try {
    await openClient({ server }).call(GATEWAYS)
    return false
  } catch (thrown) {
    return thrown instanceof ClientError && thrown.status === 401 ? true : undefined
  }
}

async function askGateways(client: Client): Promise<Finding[]> {
  const { gateways } = await client.call(GATEWAYS)
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

export interface Running {
  readonly findings: Finding[]
  /** Whether it asks for a token; undefined where none answers. */
  readonly asksForToken: boolean | undefined
}

/** What the platform that runs on this data directory, or at the address that is named, says of itself; else nothing. */
export async function askRunning(options: SharedOptions, { dataDir }: Config): Promise<Running> {
  const named = options.server ?? (options.dataDir === undefined ? readEnvironment().PLIMSOLL_SERVER : undefined)
  if (named === undefined && runningPid(dataDir) === undefined) return { findings: [], asksForToken: undefined }
  const { client, server } = connect({ ...options, ...(named === undefined ? { dataDir } : { server: named }) })
  const asked = await asksForToken(server)
  try {
    return { findings: await askGateways(client), asksForToken: asked }
  } catch (thrown) {
    if (!(thrown instanceof ClientError)) throw thrown
    const { message, status, action } = thrown
    const cost = `Whether its gateways take what they are to serve is not known. ${action ?? ''}`.trim()
    const state = status >= 500 ? 'problem' : 'missing'
    return { findings: [{ ...ABOUT, state, found: message, cost }], asksForToken: asked }
  }
}
