import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { openClient } from './client.fixture.ts'
import { type Evidence, readEvidence } from './evidence.fixture.ts'
import { type Kill, killAll } from './killer.fixture.ts'
import { type Kind, openPlatform, type Platform } from './platform.fixture.ts'
import { readRows } from './project.fixture.ts'
import { type Acknowledged, openTraffic } from './traffic.fixture.ts'
import { openVoyage, plimsoll, type Voyage } from './voyage.fixture.ts'

const SETTLE_MS = 120_000
/** Part of the kills that hits the first runs, before there is anything to predict with. */
const EARLY_SHARE = 0.2
/** A sail without kills would be over before the first answer. */
const PREDICTIONS_MIN = 20

/** The part of a route's OpenAPI that names the columns of a row. */
interface RouteOpenApi {
  paths: Record<
    string,
    {
      post: {
        requestBody: {
          content: {
            'application/json': { schema: { properties: { rows: { items: { properties: Record<string, unknown> } } } } }
          }
        }
      }
    }
  >
}

export interface Sailed {
  readonly evidence: Evidence
  readonly voyage: Voyage
  readonly acknowledged: Acknowledged
  readonly kills: readonly Kill[]
  readonly problems: Readonly<Record<string, readonly string[]>>
}

async function until(fact: () => Promise<boolean>, what: () => string): Promise<void> {
  for (const untilMs = performance.now() + SETTLE_MS; !(await fact()); await sleep(200))
    if (performance.now() > untilMs) throw new Error(`Waited ${SETTLE_MS} ms in vain: ${what()}`)
}

/** Waits until the gateway serves the route; the columns of its rows, from its OpenAPI. */
async function columnsOf(platform: Platform, route: string): Promise<string[]> {
  const url = `${platform.gateway}/predict/${route}/openapi.json`
  let columns: string[] = []
  await until(
    async () => {
      const response = await fetch(url).catch(() => undefined)
      if (response?.status !== 200) return false
      const { paths } = (await response.json()) as RouteOpenApi
      const { schema } = paths[`/predict/${route}`]!.post.requestBody.content['application/json']
      columns = Object.keys(schema.properties.rows.items.properties)
      return true
    },
    () => 'the route serves',
  )
  return columns
}

/** Sails the whole example on a fresh data directory: applied, run, released, asked, and killed by the deck meanwhile. */
export async function sail(
  project: string,
  dataDir: string,
  deck: readonly Kind[],
  random: () => number,
): Promise<Sailed> {
  const platform = await openPlatform(dataDir)
  const abort = new AbortController()
  try {
    const client = openClient(platform)
    const voyage = await openVoyage(client, project)
    const kill = (cards: readonly Kind[]) => killAll(platform, cards, random, abort.signal)
    const early = Math.floor(deck.length * EARLY_SHARE)
    const [before] = await Promise.all([kill(deck.slice(0, early)), voyage.runAll(false)])
    await voyage.releaseNewest()
    const traffic = await openTraffic(
      client,
      voyage.route,
      await readRows(project, await columnsOf(platform, voyage.route)),
    )
    let isOver = deck.length === 0
    const killing = kill(deck.slice(early)).finally(() => {
      isOver = true
    })
    while (!isOver) {
      await voyage.runAll(true)
      await voyage.releaseNewest()
    }
    const kills = [...before, ...(await killing)]
    await until(
      async () => traffic.acknowledged.predictions.size >= PREDICTIONS_MIN,
      () => 'predictions are answered',
    )
    await traffic.stop()
    const segments = join(dataDir, 'gateway/segments')
    await until(
      async () => (await readdir(segments)).length === 0,
      () => 'every segment is shipped',
    )
    const live = `${platform.api}/api/v1/routes/${voyage.route}/live`
    const { acknowledged } = traffic
    await until(
      async () => (await client.must<{ labelled: number }>(live)).labelled >= acknowledged.labels.size,
      () => 'every label finds its prediction',
    )
    const [lastPrediction] = [...acknowledged.predictions.keys()].slice(-1)
    const explained = await plimsoll(dataDir, ['explain', lastPrediction!])
    const audit = await plimsoll(dataDir, ['audit', 'verify'])
    const status = await platform.stop()
    await until(
      async () => platform.leftOver().length === 0,
      () => `left over: ${platform.leftOver().join('; ')}`,
    )
    console.info(
      `${kills.length} kills: ${client.counts.answered} answered, ${client.counts.unavailable} unavailable, ${client.counts.broken} broken; ${platform.readyMs.length} starts of up, ready in ${platform.readyMs.join(', ')} ms; runs failed: ${voyage.failures.join(' / ') || 'none'}`,
    )
    return {
      evidence: await readEvidence(dataDir, acknowledged.trackedRun),
      voyage,
      acknowledged,
      kills,
      problems: {
        dishonest: client.dishonest,
        wrong: traffic.wrong,
        failedStarts: platform.failedStarts,
        explained: explained.status === 0 ? [] : [explained.text],
        audit: audit.status === 0 ? [] : [audit.text],
        stopped: status === 0 ? [] : [`up ended with ${status}`],
      },
    }
  } finally {
    abort.abort()
    await platform.stop()
  }
}
