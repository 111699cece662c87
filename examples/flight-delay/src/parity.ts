import { HONEST_VIEWS, joinFeatures, MODEL_COLUMNS, openFlights } from './oracle.ts'

/** A prediction with the keys that it was asked with. */
export interface Asked {
  readonly prediction: string
  readonly departsAtMs: number
  readonly origin: string
  readonly destination: string
}

export interface Parity {
  /** Predictions of the sample whose features were logged, and values that they hold. */
  readonly predictions: number
  readonly values: number
  /** Values that differ from those that plain SQL finds in the files, as of the instant of the prediction. */
  readonly differing: number
  /** How long after its departure each was looked up, by the clock of the replay. */
  readonly lagMs: readonly number[]
}

interface Logged {
  readonly asked: Asked
  readonly atMs: number
  readonly values: readonly (number | null)[]
}

const CALLS_AT_ONCE = 4
/** Records are on their way for some seconds, on a busy machine for longer. */
const PATIENCE_MS = 60_000
const AGAIN_MS = 500
const TOLERANCE = 1e-9
// A service whose views name no features holds them sorted; the two arrivals are one view, as the project defines.
const SERVED = HONEST_VIEWS.flatMap((view) => {
  const names = Object.keys(view.features)
  const ordered = view.name === 'arrivals_at_destination' ? names : names.toSorted()
  return ordered.map((feature) => `${view.name}__${feature}`)
})

async function readLogged(api: string, asked: Asked): Promise<Logged | undefined> {
  const ask = () => fetch(`${api}/api/v1/predictions/${asked.prediction}`)
  let answer = await ask()
  for (const beganMs = performance.now(); answer.status === 404 && performance.now() - beganMs < PATIENCE_MS; ) {
    await new Promise((done) => setTimeout(done, AGAIN_MS))
    answer = await ask()
  }
  if (answer.status !== 200) throw new Error(`Prediction ${asked.prediction} is not known: ${await answer.text()}`)
  const { record } = (await answer.json()) as {
    record: { atMs: number; payload?: { features: { values: (number | null)[] }[] } }
  }
  const values = record.payload?.features[0]?.values
  return values && { asked, atMs: record.atMs, values }
}

async function readAll(api: string, sample: readonly Asked[]): Promise<Logged[]> {
  const found: Logged[] = []
  let next = 0
  const lane = async () => {
    while (next < sample.length) {
      const logged = await readLogged(api, sample[next++]!)
      if (logged) found.push(logged)
    }
  }
  await Promise.all(Array.from({ length: CALLS_AT_ONCE }, lane))
  return found
}

/** Compares the features that the gateway looked up with those that plain SQL finds in the files at the same instant. */
export async function compareFeatures(api: string, dataDir: string, sample: readonly Asked[]): Promise<Parity> {
  const logged = await readAll(api, sample)
  const { connection, close } = await openFlights(dataDir)
  try {
    await connection.run('drop view spine')
    await connection.run(
      'create table spine (flight_id varchar, date timestamptz, origin varchar, destination varchar)',
    )
    for (const { asked, atMs } of logged)
      await connection.run(`insert into spine values ($1, make_timestamptz(${Math.round(atMs * 1_000)}), $2, $3)`, [
        asked.prediction,
        asked.origin,
        asked.destination,
      ])
    await joinFeatures(connection, HONEST_VIEWS, 'joined')
    const columns = SERVED.map((name) => `"${name}"`).join(', ')
    const rows = (await connection.runAndReadAll(`select flight_id, ${columns} from joined`)).getRows()
    const offline = new Map(rows.map(([id, ...cells]) => [String(id), cells]))
    let differing = 0
    for (const { asked, values } of logged) {
      const expected = offline.get(asked.prediction) ?? []
      for (const [index, value] of values.entries()) if (!isEqual(value, expected[index])) differing++
    }
    return {
      predictions: logged.length,
      values: logged.length * (MODEL_COLUMNS.length - 3),
      differing,
      lagMs: logged.map(({ asked, atMs }) => atMs - asked.departsAtMs),
    }
  } finally {
    close()
  }
}

function isEqual(online: number | null, offline: unknown): boolean {
  if (online === null || offline === null || offline === undefined) return online === null && offline == null
  return Math.abs(online - Number(offline)) <= TOLERANCE * Math.max(1, Math.abs(online))
}
