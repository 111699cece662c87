import { setTimeout as sleep } from 'node:timers/promises'
import type { Kind, Platform } from './platform.fixture.ts'

/** How many of a hundred kills hit each kind. */
const SHARES: Readonly<Record<Kind, number>> = {
  supervisor: 10,
  'control-plane': 16,
  gateway: 26,
  'model-host': 36,
  step: 12,
}
/** A kind that is not running for so long gives its turn to the next. */
const WAIT_MS = 10_000
const POLL_MS = 100
const PAUSE_MS = 1_500
/** Most kills hit a platform that is up, however slow the machine; the others hit one that starts. */
const CALM_SHARE = 0.75
const CALM_WAIT_MS = 30_000

export interface Kill {
  readonly kind: Kind
  readonly pid: number
  readonly atMs: number
}

/** The order of kills: a shuffled deck, so that each kind gets its share whatever the seed. */
export function dealKills(count: number, random: () => number): Kind[] {
  const entries = Object.entries(SHARES) as [Kind, number][] // keys of a literal record
  const deck = entries.flatMap(([kind, share]) => Array<Kind>(Math.ceil((share * count) / 100)).fill(kind))
  for (let last = deck.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1))
    ;[deck[last], deck[other]] = [deck[other]!, deck[last]!] // both are below the length
  }
  return deck
}

async function findVictim(platform: Platform, kind: Kind, random: () => number): Promise<number | undefined> {
  for (const untilMs = performance.now() + WAIT_MS; performance.now() < untilMs; await sleep(POLL_MS)) {
    const pids = platform.pidsOf(kind)
    if (pids.length > 0) return pids[Math.floor(random() * pids.length)]
  }
  return undefined
}

async function awaitCalm(platform: Platform): Promise<void> {
  for (const untilMs = performance.now() + CALM_WAIT_MS; performance.now() < untilMs; await sleep(POLL_MS)) {
    const response = await fetch(`${platform.api}/health`, { signal: AbortSignal.timeout(5_000) }).catch(
      () => undefined,
    )
    await response?.text()
    if (response?.status === 200) return
  }
}

/** SIGKILLs one process after the other until the deck is empty. */
export async function killAll(
  platform: Platform,
  deck: readonly Kind[],
  random: () => number,
  signal: AbortSignal,
): Promise<Kill[]> {
  const kills: Kill[] = []
  const cards = [...deck]
  while (cards.length > 0 && !signal.aborted) {
    if (random() < CALM_SHARE) await awaitCalm(platform)
    await sleep(random() * PAUSE_MS)
    const kind = cards.shift()!
    const pid = await findVictim(platform, kind, random)
    if (pid === undefined) {
      cards.push(kind)
      continue
    }
    try {
      process.kill(pid, 'SIGKILL')
      kills.push({ kind, pid, atMs: Math.round(performance.now()) })
    } catch {
      cards.unshift(kind) // it ended in between
    }
  }
  return kills
}
