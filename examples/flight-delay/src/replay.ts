import { readFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { DuckDBInstance } from '@duckdb/node-api'
import { failureName } from './failure-name.ts'
import { compareFeatures } from './parity.ts'

/**
 * Replays flights over real HTTP, each at its own departure by the replay clock of the platform, and joins labels back once
 * a flight has landed. Then looks a sample of predictions up and computes their features from the files. Prints one JSON
 * object: requests, failures with their statuses, latency percentiles from the time at which each request was due, CPU-µs per prediction of the
 * given processes, and how many features of the sample agree.
 */
const { values } = parseArgs({
  options: {
    gateway: { type: 'string' },
    api: { type: 'string' },
    data: { type: 'string' },
    count: { type: 'string', default: '20000' },
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
/** A busy gateway is asked again for so long, after pauses that double from the first to the longest. */
const PATIENCE_MS = 120_000
const AGAIN_MS = 50
const AGAIN_MS_MAX = 2_000
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
async function openReplayClock(): Promise<{ rate: number; nowMs: () => number }> {
  const answer = (await (await fetch(`${values.api}/health`)).json()) as { time: string; replay_rate: number | null }
  const [readAtMs, atMs, rate] = [performance.now(), Date.parse(answer.time), answer.replay_rate ?? 1]
  return { rate, nowMs: () => atMs + (performance.now() - readAtMs) * rate }
}

async function readFlights(fromMs: number): Promise<Flight[]> {
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' })
  const connection = await instance.connect()
  await connection.run("set timezone = 'UTC'")
  const path = join(String(values.data), 'flights-2001-0[4-6].parquet').replaceAll("'", "''")
  const found = await connection.runAndReadAll(`
    select hour, day_of_week, distance, origin, destination, late, epoch_ms(date), epoch_ms(landed_at)
    from read_parquet('${path}') where epoch_ms(date) >= ${Math.round(fromMs)} order by date, flight_id limit ${count}`)
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
const flights = await readFlights(clock.nowMs() + LEAD_MS * clock.rate)
const latencies: number[] = []
const answered: Answered[] = []
const pids = values.pids.split(',').filter(Boolean)
const cpuBefore = cpuUs(pids)
const startedMs = performance.now()
let failures = 0
const failuresByName: Record<string, number> = {}
let askedAgain = 0
let labelled = 0

/** A gateway that is busy says so (503), or that a deadline has passed (504): asked again, as clients do. */
async function ask(row: Flight['row']): Promise<{ status: number; text: string }> {
  const beganMs = performance.now()
  for (let pauseMs = AGAIN_MS; ; pauseMs = Math.min(AGAIN_MS_MAX, pauseMs * 2)) {
    const answer = await post(`${values.gateway}/predict/flight-delay`, { rows: [row] })
    const isBusy = answer.status === 503 || answer.status === 504
    if (!isBusy || performance.now() - beganMs > PATIENCE_MS) return answer
    askedAgain++
    await pause(pauseMs)
  }
}

function noteFailure(failure: Parameters<typeof failureName>[0]): void {
  const name = failureName(failure)
  failures++
  failuresByName[name] = (failuresByName[name] ?? 0) + 1
}

/** Sends one flight and measures from the moment at which it was due, so that a stall is not hidden by waiting. */
async function predict(flight: Flight, dueMs: number): Promise<void> {
  try {
    const { status, text } = await ask(flight.row)
    latencies.push(performance.now() - dueMs)
    if (status !== 200) noteFailure({ status, text })
    else answered.push({ prediction: (JSON.parse(text) as { prediction_id: string }).prediction_id, flight })
  } catch (thrown) {
    noteFailure(thrown as Error) // of the socket, or of JSON
  }
}

async function sendAll(): Promise<void> {
  const running: Promise<void>[] = []
  for (const flight of flights) {
    const aheadMs = (flight.departsAtMs - clock.nowMs()) / clock.rate
    if (aheadMs > 1) await pause(aheadMs)
    running.push(predict(flight, performance.now() + Math.min(0, aheadMs)))
    if (values.progress && running.length % 500 === 0)
      process.stderr.write(
        `\r  ${running.length} of ${flights.length} flights, ${new Date(clock.nowMs()).toISOString()}`,
      )
  }
  await Promise.all(running)
  if (values.progress) process.stderr.write('\r\x1b[K')
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
await sendAll()
const seconds = (performance.now() - startedMs) / 1_000
const cpu = cpuUs(pids) - cpuBefore
isSent = true
await labels
agent.destroy()
const sample = answered.filter((_, index) => index % Math.ceil(answered.length / Number(values.sample)) === 0)
const parity = await compareFeatures(
  String(values.api),
  String(values.data),
  sample.map(({ prediction, flight: { row } }) => ({ prediction, ...row })),
)
const sorted = latencies.toSorted((a, b) => a - b)
process.stdout.write(
  `${JSON.stringify({
    requests: flights.length,
    failures,
    failuresByName,
    askedAgain,
    labelled,
    seconds,
    since: new Date(flights[0]?.departsAtMs ?? 0).toISOString(),
    until: new Date(flights.at(-1)?.departsAtMs ?? 0).toISOString(),
    p50Ms: percentile(sorted, 0.5),
    p95Ms: percentile(sorted, 0.95),
    p99Ms: percentile(sorted, 0.99),
    cpuUsPerPrediction: pids.length > 0 ? cpu / flights.length : null,
    lastPrediction: answered.at(-1)?.prediction ?? null,
    parity,
  })}\n`,
)
