/** The clock of a replay: its time, and how many times as fast as ours it runs. */
export interface ReplayClock {
  readonly rate: number
  nowMs(): number
}

export interface Pace {
  readonly clock: ReplayClock
  /** So many are asked. */
  readonly wanted: number
  /** So many are on their way at most: what is asked does not wait for a socket. */
  readonly atOnce: number
  /** Of the replay's time: a flight that left longer ago is not asked any more, as more would be known than at its departure. */
  readonly lateMsMax: number
  readonly pause: (ms: number) => Promise<unknown>
}

/**
 * Asks flights, in the order of their departures, each at its own. A machine that cannot keep up with the clock asks fewer
 * of an hour and goes on for longer: `leftOut` are those whose turn came too late. `ask` tells whether a flight was answered
 * or failed; false leaves it out.
 */
export async function askInTime<Flight extends { readonly departsAtMs: number }>(
  flights: AsyncIterable<Flight>,
  ask: (flight: Flight) => Promise<boolean>,
  { clock, wanted, atOnce, lateMsMax, pause }: Pace,
): Promise<{ asked: number; leftOut: number }> {
  let [asked, leftOut, onTheirWay] = [0, 0, 0]
  let wake = () => {}
  const oneEnds = () =>
    new Promise<void>((done) => {
      wake = done
    })
  const send = async (flight: Flight) => {
    onTheirWay++
    const isAsked = await ask(flight)
    onTheirWay--
    if (isAsked) asked++
    else leftOut++
    wake()
  }
  for await (const flight of flights) {
    while (onTheirWay > 0 && (onTheirWay >= atOnce || asked + onTheirWay >= wanted)) await oneEnds()
    if (asked >= wanted) break
    const aheadMs = flight.departsAtMs - clock.nowMs()
    if (aheadMs < -lateMsMax) {
      leftOut++
      continue
    }
    if (aheadMs > clock.rate) await pause(aheadMs / clock.rate)
    void send(flight)
  }
  while (onTheirWay > 0) await oneEnds()
  return { asked, leftOut }
}
