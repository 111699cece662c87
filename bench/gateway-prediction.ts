import { type ChildProcess, fork } from 'node:child_process'
import { Agent, createServer, request } from 'node:http'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { Histogram } from 'prom-client'
import { mlpModel } from '../packages/platform/src/inference/onnx.fixture.ts'
import { realClock } from '../packages/platform/src/kernel/clock.ts'
import { openTestGateway, routeTo } from '../packages/platform/src/serving/gateway/gateway.fixture.ts'
import { GATEWAY_DEFAULTS } from '../packages/platform/src/serving/gateway/settings.ts'
import { cpuMs } from './_cpu.ts'
import { isSmall, median, noteFigure } from './_figure.ts'

/** CPU-µs per prediction of the whole process tree: the gateway with its model hosts, beside bare node:http and ONNX Runtime. */
const FEATURES = Array.from({ length: 20 }, (_, index) => `f${index}`)
const ROW = Object.fromEntries(FEATURES.map((name, index) => [name, index / 7]))
/** One that takes any number of rows, and the same one for a single row: its requests cannot share a run. */
const MODELS = { rows: mlpModel(32, 2, FEATURES.length), row: mlpModel(32, 2, FEATURES.length, 1) }
type Model = keyof typeof MODELS
const ROUNDS = isSmall ? 1 : 5
/** So many that the clock tick of processor times is a hundredth of what they take. */
const PREDICTIONS = isSmall ? 100 : 4_000
const WARM_UP = isSmall ? 100 : 1_000
/** A round ends then, whatever it has done. */
const ROUND_MS_MAX = 30_000
/** The share of predictions whose inputs are kept too. */
const PAYLOAD_RATE = 0.1
/** Alone, both sides wake for each request and for each answer of the model: what that costs, the machine says. */
const LOADS: readonly { name: string; connections: number; model: Model; goalUs: number }[] = [
  { name: 'unbatched, side by side', connections: 64, model: 'row', goalUs: 250 },
  { name: 'unbatched, one after the other', connections: 1, model: 'rows', goalUs: 250 },
  { name: 'batched', connections: 64, model: 'rows', goalUs: 150 },
]
const ROLES = ['gateway', 'bare'] as const
type Role = (typeof ROLES)[number]

async function serveGateway(): Promise<number> {
  const duration = new Histogram({ name: 'duration', help: 'As the gateway has', labelNames: ['route', 'code'] })
  const opened = await openTestGateway({
    withLoops: true,
    rotateMs: GATEWAY_DEFAULTS.segmentAgeMs,
    observe: (route, code, seconds) => duration.observe({ route, code }, seconds),
  })
  const { control } = opened
  const versions = Object.values(MODELS).map((model) => control.addVersion(model))
  const routes = Object.keys(MODELS).map((name, at) =>
    routeTo(versions[at]!, name, FEATURES, { payloadRate: PAYLOAD_RATE, inflightMax: 1_000 }),
  )
  if (!(await opened.gateway.offer(control.publish(1, routes, versions))))
    throw new Error('The gateway refused the snapshot')
  process.once('disconnect', () => void opened.close().then(() => process.exit(0)))
  return opened.server.port
}

interface Waiting {
  row: Record<string, number>
  answer: (y: number[]) => void
}

/** What anyone would write first: requests that arrive during a run share the next one. No checks, no record, no versions. */
async function openBare(model: Model): Promise<(one: Waiting) => void> {
  const session = await InferenceSession.create(MODELS[model], { intraOpNumThreads: 1, interOpNumThreads: 1 })
  const waiting: Waiting[] = []
  let isRunning = false
  const pump = async () => {
    isRunning = true
    while (waiting.length > 0) {
      const batch = waiting.splice(0, model === 'row' ? 1 : waiting.length)
      const data = new Float32Array(batch.length * FEATURES.length)
      for (const [at, { row }] of batch.entries()) {
        for (const [column, name] of FEATURES.entries()) data[at * FEATURES.length + column] = row[name] ?? Number.NaN
      }
      const { y } = await session.run({ x: new Tensor('float32', data, [batch.length, FEATURES.length]) })
      const values = y!.data as Float32Array // the model's one output
      for (const [at, { answer }] of batch.entries()) answer([...values.subarray(at * 2, at * 2 + 2)])
    }
    isRunning = false
  }
  return (one) => {
    waiting.push(one)
    if (!isRunning) void pump()
  }
}

async function serveBare(): Promise<number> {
  const predict = { '/predict/rows': await openBare('rows'), '/predict/row': await openBare('row') }
  const server = createServer((incoming, response) => {
    const chunks: Buffer[] = []
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
    incoming.on('end', () => {
      const { rows } = JSON.parse(Buffer.concat(chunks).toString()) as { rows: Record<string, number>[] } // our own load
      const answer = (y: number[]) => {
        const body = JSON.stringify({ predictions: [{ y }] })
        response
          .writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
          .end(body)
      }
      predict[incoming.url as keyof typeof predict]({ row: rows[0]!, answer })
    })
  })
  process.once('disconnect', () => process.exit(0))
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port)) // a TCP server has one
  })
}

function start(role: Role): Promise<{ child: ChildProcess; port: number }> {
  const child = fork(import.meta.filename, [role], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    env: { ...process.env, ORT_DISABLE_TELEMETRY: '1' }, // as our model hosts have it
  })
  return new Promise((resolve, reject) => {
    child.once('message', (port) => resolve({ child, port: Number(port) }))
    child.once('exit', (code) => reject(new Error(`${role} ended with ${code}`)))
  })
}

const BODY = JSON.stringify({ rows: [ROW] })

function predictOnce(agent: Agent, port: number, model: Model): Promise<void> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(BODY) }
    const call = request(
      { agent, host: '127.0.0.1', port, method: 'POST', path: `/predict/${model}`, headers },
      (response) => {
        response.resume()
        response.once('end', () =>
          response.statusCode === 200 ? resolve() : reject(new Error(`Answered ${response.statusCode}`)),
        )
      },
    )
    call.once('error', reject)
    call.end(BODY)
  })
}

/** A closed loop of so many connections, until so many predictions; how many there were, and their rate. */
async function load(
  port: number,
  { connections, model }: (typeof LOADS)[number],
  wanted: number,
): Promise<{ count: number; perSecond: number }> {
  const agent = new Agent({ keepAlive: true, maxSockets: connections })
  const startedMs = realClock.monotonicMs()
  let count = 0
  const client = async () => {
    while (count < wanted && realClock.monotonicMs() - startedMs < ROUND_MS_MAX) {
      count++
      await predictOnce(agent, port, model)
    }
  }
  await Promise.all(Array.from({ length: connections }, client))
  agent.destroy()
  return { count, perSecond: (count * 1_000) / (realClock.monotonicMs() - startedMs) }
}

async function measure(): Promise<void> {
  const servers = { gateway: await start('gateway'), bare: await start('bare') }
  const lines = [
    `gateway-prediction: ${FEATURES.length} features in JSON, one row, record written before each answer; CPU µs of the process tree, medians of ${ROUNDS}`,
  ]
  for (const one of LOADS) {
    const { name, connections, goalUs } = one
    const spent: Record<Role, number[]> = { gateway: [], bare: [] }
    const rates: Record<Role, number[]> = { gateway: [], bare: [] }
    for (const role of ROLES) await load(servers[role].port, one, WARM_UP)
    for (let round = 0; round < ROUNDS; round++) {
      for (const role of round % 2 === 0 ? ROLES : ROLES.toReversed()) {
        const { child, port } = servers[role]
        const before = cpuMs(child.pid!)
        const { count, perSecond } = await load(port, one, PREDICTIONS)
        spent[role].push(((cpuMs(child.pid!) - before) * 1_000) / count)
        rates[role].push(perSecond)
      }
    }
    const [ours, bare] = [median(spent.gateway), median(spent.bare)]
    noteFigure({
      claim: `gateway, ${name}`,
      unit: 'CPU µs per prediction',
      figure: ours,
      goal: goalUs,
      peer: 'bare node:http + onnxruntime',
      peerFigure: bare,
    })
    const verdict = ours <= goalUs ? 'met' : 'missed'
    lines.push(
      `  ${name}, ${connections} connections`,
      `    gateway  ${ours.toFixed(0)} µs (goal ${goalUs}: ${verdict}; ${spent.gateway.map((one) => one.toFixed(0)).join(' ')}), ${median(rates.gateway).toFixed(0)}/s`,
      `    bare     ${bare.toFixed(0)} µs (${spent.bare.map((one) => one.toFixed(0)).join(' ')}), ${median(rates.bare).toFixed(0)}/s`,
      `    ratio    ${(ours / bare).toFixed(2)}`,
    )
  }
  process.stdout.write(`${lines.join('\n')}\n`)
  for (const { child } of Object.values(servers)) {
    child.removeAllListeners('exit')
    child.disconnect()
  }
}

const role = process.argv[2]
if (role === 'gateway' || role === 'bare') process.send!(await (role === 'gateway' ? serveGateway() : serveBare()))
else await measure()
