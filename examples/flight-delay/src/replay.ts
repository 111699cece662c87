import { readFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { parseArgs } from 'node:util'
import { DuckDBInstance } from '@duckdb/node-api'

/**
 * Replays flights of April over real HTTP and joins their labels back. Prints one JSON object: requests, failures, latency
 * percentiles in milliseconds, and CPU-µs per prediction of the given processes.
 */
const { values } = parseArgs({
  options: {
    gateway: { type: 'string' },
    api: { type: 'string' },
    data: { type: 'string' },
    count: { type: 'string', default: '20000' },
    connections: { type: 'string', default: '16' },
    pids: { type: 'string', default: '' },
  },
})
const count = Number(values.count)
const connections = Number(values.connections)
const TICK_US = 10_000
const LABELS_PER_CALL = 5_000

interface Flight {
  row: { hour: number; day_of_week: number; distance: number }
  late: number
  landedAtMs: number
}

async function readFlights(): Promise<Flight[]> {
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' })
  const connection = await instance.connect()
  const path = String(values.data).replaceAll("'", "''")
  const rows = await connection.runAndReadAll(`
    select hour, day_of_week, distance, late, epoch_ms(landed_at) from read_parquet('${path}')
    where hash(flight_id) % 10 = 0 order by date, flight_id limit ${count}`)
  const flights = rows.getRows().map((cells) => {
    const [hour, day, distance, late, landed] = cells.map(Number) as [number, number, number, number, number] // five numeric columns
    return { row: { hour, day_of_week: day, distance }, late, landedAtMs: landed }
  })
  connection.closeSync()
  instance.closeSync()
  return flights
}

/** CPU time of processes and their children that still live, in microseconds. */
function cpuUs(pids: readonly string[]): number {
  return pids.reduce((sum, pid) => {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return sum + (Number(fields[11]) + Number(fields[12])) * TICK_US
  }, 0)
}

function post(agent: Agent, url: string, body: unknown): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const payload = JSON.stringify(body)
    const call = request(
      url,
      {
        method: 'POST',
        agent,
        headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) },
      },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') }),
        )
      },
    )
    call.once('error', reject)
    call.end(payload)
  })
}

function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

const flights = await readFlights()
const agent = new Agent({ keepAlive: true, maxSockets: connections })
const latencies: number[] = []
const labels: { prediction: string; label: number; knownAtMs: number }[] = []
const ids: string[] = []
let failures = 0
let next = 0
const pids = values.pids.split(',').filter(Boolean)
const cpuBefore = cpuUs(pids)
const startedMs = performance.now()

async function worker(): Promise<void> {
  for (let index = next++; index < flights.length; index = next++) {
    const flight = flights[index]!
    const sentMs = performance.now()
    const { status, text } = await post(agent, `${values.gateway}/predict/flight-delay`, { rows: [flight.row] })
    latencies.push(performance.now() - sentMs)
    if (status !== 200) {
      failures++
      continue
    }
    const { prediction_id: id } = JSON.parse(text) as { prediction_id: string }
    ids.push(id)
    labels.push({ prediction: id, label: flight.late, knownAtMs: flight.landedAtMs })
  }
}
await Promise.all(Array.from({ length: connections }, worker))
const seconds = (performance.now() - startedMs) / 1_000
const cpu = cpuUs(pids) - cpuBefore

for (let start = 0; start < labels.length; start += LABELS_PER_CALL) {
  const { status, text } = await post(agent, `${values.api}/api/v1/labels`, {
    labels: labels.slice(start, start + LABELS_PER_CALL),
  })
  if (status !== 200) throw new Error(`Labels were refused: ${text.slice(0, 300)}`)
}
agent.destroy()
const sorted = latencies.toSorted((a, b) => a - b)
process.stdout.write(
  `${JSON.stringify({
    requests: flights.length,
    failures,
    seconds,
    p50Ms: percentile(sorted, 0.5),
    p95Ms: percentile(sorted, 0.95),
    p99Ms: percentile(sorted, 0.99),
    cpuUsPerPrediction: pids.length > 0 ? cpu / flights.length : null,
    lastPrediction: ids.at(-1) ?? null,
  })}\n`,
)
