import { readFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { DuckDBInstance } from '@duckdb/node-api'
import { failureName } from './failure-name.ts'
import { askInTime, type ReplayClock } from './pace.ts'
import { compareFeatures } from './parity.ts'

/**
 * Replays flights over real HTTP, each at its own departure by the replay clock of the platform, and joins labels back once
 * a flight has landed. Then looks a sample of predictions up and computes their features from the files. Prints one JSON
 * object: requests, flights left out because the machine was busy, failures with their statuses, how long a request waited
 * in here and how long its answer took, CPU-µs per prediction of the given processes, how many features of the sample
 * agree, and how long after its departure each of the sample was looked up.
 */
const { values } = parseArgs({
  options: {
    gateway: { type: 'string' },
    api: { type: 'string' },
    data: { type: 'string' },
    count: { type: 'string', default: '20000' },
    until: { type: 'string', default: '2001-07-01T00:00:00Z' },
    sample: { type: 'string', default: '600' },
    pids: { type: 'string', default: '' },
    progress: { type: 'boolean', default: false },
  },
})
process.on('uncaughtException', (error) => {
  process.stderr.write(`${error.message}\n`)
  process.exit(1)
})
const count = Number(values.count)
const SOCKETS = 64
const TICK_US = 10_000
/** Of the replay's time, which runs an hour a second in the demo: what is known ten minutes later tells little more. */
const LATE_MS_MAX = 600_000
/** A busy gateway is asked again while the departure is not too long ago, after a pause. */
const AGAIN_MS = 50
const LABELS_PER_CALL = 5_000
const LABELS_EVERY_MS = 500
const LEAD_MS = 1_500

interface Flight {
  row: { hour: number; day_of_week: number; distance: number; origin: string; destination: string }
  departsAtMs: number
  landedAtMs: number
  late: number
}

interface Answered {
  prediction: string
  flight: Flight
}

/** The clock of the platform, read once and carried on. */
async function openReplayClock(): Promise<ReplayClock> {
  const answer = (await (await fetch(`${values.api}/health`)).json()) as { time: string; replay_rate: number | null }
  const [readAtMs, atMs, rate] = [performance.now(), Date.parse(answer.time), answer.replay_rate ?? 1]
  return { rate, nowMs: () => atMs + (performance.now() - readAtMs) * rate }
}

async function readFlights(fromMs: number, untilMs: number): Promise<Flight[]> {
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' })
  const connection = await instance.connect()
  await connection.run("set timezone = 'UTC'")
  const path = join(String(values.data), 'flights-2001-0[4-6].parquet').replaceAll("'", "''")
  const found = await connection.runAndReadAll(`
    select hour, day_of_week, distance, origin, destination, late, epoch_ms(date), epoch_ms(landed_at)
    from read_parquet('${path}') where epoch_ms(date) > ${Math.round(fromMs)} and epoch_ms(date) <= ${untilMs} order by date, flight_id limit ${count}`)
  const flights = found.getRows().map((cells): Flight => {
    const [hour, day, distance, origin, destination, late, departs, lands] = cells
    const row = {
      hour: Number(hour),
      day_of_week: Number(day),
      distance: Number(distance),
      origin: String(origin),
      destination: String(destination),
    }
    return { row, late: Number(late), departsAtMs: Number(departs), landedAtMs: Number(lands) }
  })
  connection.closeSync()
  instance.closeSync()
  return flights
}

/** More are read when a busy machine has left so many out that those which were read do not suffice. */
async function* flightsUntil(untilMs: number): AsyncGenerator<Flight> {
  for (let lastMs = 0; ; ) {
    const read = await readFlights(Math.max(lastMs, clock.nowMs() + LEAD_MS * clock.rate), untilMs)
    yield* read
    if (read.length < count) return
    lastMs = read.at(-1)!.departsAtMs
  }
}

/** CPU time of processes, in microseconds. */
function cpuUs(pids: readonly string[]): number {
  return pids.reduce((sum, pid) => {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return sum + (Number(fields[11]) + Number(fields[12])) * TICK_US
  }, 0)
}

const agent = new Agent({ keepAlive: true, maxSockets: SOCKETS })

function post(url: string, body: unknown): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const payload = JSON.stringify(body)
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) }
    const call = request(url, { method: 'POST', agent, headers }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') }),
      )
    })
    call.once('error', reject)
    call.end(payload)
  })
}

function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

const pause = (ms: number) => new Promise((done) => setTimeout(done, ms))
const clock = await openReplayClock()
const waitedMs: number[] = []
const tookMs: number[] = []
const answered: Answered[] = []
const pids = values.pids.split(',').filter(Boolean)
const cpuBefore = cpuUs(pids)
let startedMs: number | undefined
let failures = 0
const failuresByName: Record<string, number> = {}
let askedAgain = 0
let labelled = 0

/** By so much of the replay's time a flight has left. */
const lateMs = (flight: Flight) => clock.nowMs() - flight.departsAtMs

/** A gateway that is busy says so (503), or that a deadline has passed (504): asked again, as clients do, while it is time. */
async function ask(flight: Flight): Promise<{ status: number; text: string } | undefined> {
  for (;;) {
    const answer = await post(`${values.gateway}/predict/flight-delay`, { rows: [flight.row] })
    if (answer.status !== 503 && answer.status !== 504) return answer
    await pause(AGAIN_MS)
    if (lateMs(flight) > LATE_MS_MAX) return undefined
    askedAgain++
  }
}

function noteFailure(failure: Parameters<typeof failureName>[0]): void {
  const name = failureName(failure)
  failures++
  failuresByName[name] = (failuresByName[name] ?? 0) + 1
}

/** Sends one flight; false where the gateway was busy until its departure was too long ago. */
async function predict(flight: Flight): Promise<boolean> {
  const behindMs = Math.max(0, lateMs(flight)) / clock.rate
  const sentMs = performance.now()
  startedMs ??= sentMs
  try {
    const answer = await ask(flight)
    if (answer === undefined) return false
    waitedMs.push(behindMs)
    tookMs.push(performance.now() - sentMs)
    const { status, text } = answer
    if (status !== 200) noteFailure({ status, text })
    else answered.push({ prediction: (JSON.parse(text) as { prediction_id: string }).prediction_id, flight })
  } catch (thrown) {
    noteFailure(thrown as Error) // of the socket, or of JSON
  }
  if (values.progress && answered.length % 500 === 0)
    process.stderr.write(`\r  ${answered.length} of ${count} flights, ${new Date(clock.nowMs()).toISOString()}`)
  return true
}

async function sendAll(): Promise<{ asked: number; leftOut: number }> {
  const pace = { clock, wanted: count, atOnce: SOCKETS, lateMsMax: LATE_MS_MAX, pause }
  const sent = await askInTime(flightsUntil(Date.parse(values.until)), predict, pace)
  if (values.progress) process.stderr.write('\r\x1b[K')
  return sent
}

/** Sends the labels of the flights that have landed by now. */
async function sendLabels(waiting: Answered[]): Promise<Answered[]> {
  const nowMs = clock.nowMs()
  const [landed, flying] = [[] as Answered[], [] as Answered[]]
  for (const one of waiting) (one.flight.landedAtMs <= nowMs ? landed : flying).push(one)
  for (let start = 0; start < landed.length; start += LABELS_PER_CALL) {
    const labels = landed
      .slice(start, start + LABELS_PER_CALL)
      .map(({ prediction, flight }) => ({ prediction, label: flight.late, knownAtMs: flight.landedAtMs }))
    const { status, text } = await post(`${values.api}/api/v1/labels`, { labels })
    if (status !== 200) throw new Error(`Labels were refused: ${text.slice(0, 300)}`)
    labelled += labels.length
  }
  return flying
}

let isSent = false
async function followLabels(): Promise<void> {
  let taken = 0
  let flying: Answered[] = []
  for (;;) {
    const isLast = isSent
    const fresh = answered.slice(taken)
    taken += fresh.length
    flying = await sendLabels([...flying, ...fresh])
    if (isLast && flying.length === 0) return
    await pause(LABELS_EVERY_MS)
  }
}

const labels = followLabels()
const { asked, leftOut } = await sendAll()
const seconds = (performance.now() - (startedMs ?? 0)) / 1_000
const cpu = cpuUs(pids) - cpuBefore
isSent = true
await labels
agent.destroy()
const sample = answered.filter((_, index) => index % Math.ceil(answered.length / Number(values.sample)) === 0)
const { lagMs, ...parity } = await compareFeatures(
  String(values.api),
  String(values.data),
  sample.map(({ prediction, flight: { row, departsAtMs } }) => ({ prediction, departsAtMs, ...row })),
)
const shares = (found: readonly number[]) => {
  const sorted = found.toSorted((a, b) => a - b)
  return { p50: percentile(sorted, 0.5), p95: percentile(sorted, 0.95), p99: percentile(sorted, 0.99) }
}
const departures = answered.map(({ flight }) => flight.departsAtMs).toSorted((a, b) => a - b)
process.stdout.write(
  `${JSON.stringify({
    requests: asked,
    leftOut,
    failures,
    failuresByName,
    askedAgain,
    labelled,
    seconds,
    since: new Date(departures[0] ?? 0).toISOString(),
    until: new Date(departures.at(-1) ?? 0).toISOString(),
    tookMs: shares(tookMs),
    waitedMs: shares(waitedMs),
    lagMinutes: shares(lagMs.map((ms) => ms / 60_000)),
    cpuUsPerPrediction: pids.length > 0 ? cpu / asked : null,
    lastPrediction: answered.at(-1)?.prediction ?? null,
    parity,
  })}\n`,
)
