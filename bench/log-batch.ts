import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { realClock } from '../packages/platform/src/kernel/clock.ts'
import { cpuMs } from './_cpu.ts'
import { isSmall, median, noteFigure } from './_figure.ts'

/**
 * Requests of log_batch per second of one core, beside a real MLflow server on SQLite, in one run. The processor time is
 * that of each server's whole process tree; the client's is not in it. Rounds alternate, figures are medians.
 */
const MLFLOW = '3.17.2'
/** Made by the first run, kept for later ones. */
const ENVIRONMENT = new URL(`../node_modules/.cache/plimsoll-python/mlflow-server-${MLFLOW}/`, import.meta.url).pathname
const ROUNDS = isSmall ? 1 : 5
const ROUND_MS = isSmall ? 500 : 3_000
const WARM_MS = isSmall ? 100 : 1_000
const CONNECTIONS = 4
const SIZES = [10, 100, 1_000] as const
const START_MS = 90_000

interface Server {
  readonly name: string
  readonly child: ChildProcess
  readonly url: URL
}

function python(): string {
  const binary = join(ENVIRONMENT, 'bin', 'python')
  if (existsSync(join(ENVIRONMENT, '.complete'))) return binary
  process.stderr.write(`Installing mlflow ${MLFLOW} for the comparison\n`)
  execFileSync('python3', ['-m', 'venv', ENVIRONMENT])
  execFileSync(binary, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', `mlflow==${MLFLOW}`], {
    stdio: 'inherit',
  })
  execFileSync('touch', [join(ENVIRONMENT, '.complete')])
  return binary
}

async function answers(url: URL, child: ChildProcess): Promise<void> {
  const endMs = realClock.monotonicMs() + START_MS
  while (realClock.monotonicMs() < endMs) {
    if (child.exitCode !== null) throw new Error(`The server at ${url} ended with ${child.exitCode}`)
    const health = await fetch(new URL('/health', url)).catch(() => undefined)
    if (health?.ok) return
    await realClock.sleep(200)
  }
  throw new Error(`The server at ${url} did not answer in ${START_MS} ms`)
}

/** Embedded defaults, as `plimsoll up` starts them: control plane, gateway and supervisor all count. */
async function startOurs(directory: string): Promise<Server> {
  const launcher = new URL('../packages/platform/bin/plimsoll.mjs', import.meta.url).pathname
  const ports = ['--port', '0', '--gateway-port', '0', '--grpc-port', '0']
  const child = spawn(
    process.execPath,
    [launcher, 'up', '--data-dir', join(directory, 'plimsoll'), ...ports, '--json'],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  process.once('exit', () => child.kill())
  let printed = ''
  const url = await new Promise<URL>((resolve, reject) => {
    child.stdout!.on('data', (chunk) => {
      printed += chunk
      const line = printed.split('\n').find((one) => one.includes('"ready"'))
      if (line) resolve(new URL((JSON.parse(line) as { api: string }).api)) // its ready line
    })
    child.once('exit', (code) => reject(new Error(`plimsoll ended with ${code}`)))
  })
  return { name: 'plimsoll', child, url }
}

async function startPeer(directory: string): Promise<Server> {
  const port = 20_000 + (process.pid % 20_000)
  const url = new URL(`http://127.0.0.1:${port}`)
  const store = [
    '--backend-store-uri',
    `sqlite:///${directory}/mlflow.db`,
    '--artifacts-destination',
    `${directory}/artifacts`,
  ]
  // one worker: its best figure per core, since SQLite has one writer
  const child = spawn(
    python(),
    ['-m', 'mlflow', 'server', '--host', '127.0.0.1', '--port', String(port), '--workers', '1', ...store],
    {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, MLFLOW_DISABLE_TELEMETRY: 'true', MLFLOW_LOGGING_LEVEL: 'ERROR' },
    },
  )
  process.once('exit', () => child.kill())
  await answers(url, child)
  return { name: `mlflow ${MLFLOW}`, child, url }
}

function post(agent: Agent, url: URL, path: string, body: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
    const call = request(
      { agent, host: url.hostname, port: url.port, method: 'POST', path: `/api/2.0/mlflow${path}`, headers },
      (response) => {
        let text = ''
        response.on('data', (chunk) => {
          text += chunk
        })
        response.once('end', () =>
          response.statusCode === 200
            ? resolve(text)
            : reject(new Error(`${url} ${path} answered ${response.statusCode} ${text}`)),
        )
      },
    )
    call.once('error', reject)
    call.end(body)
  })
}

async function newRun(agent: Agent, url: URL): Promise<string> {
  const reply = JSON.parse(
    await post(agent, url, '/runs/create', JSON.stringify({ experiment_id: '0', start_time: realClock.nowMs() })),
  )
  return (reply as { run: { info: { run_id: string } } }).run.info.run_id // MLflow's shape on both servers
}

/** Each connection writes one run of its own, as a training script does: new steps of 10 metrics. */
async function round(server: Server, size: number, ms: number): Promise<{ perCore: number; perSecond: number }> {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS })
  const runs = await Promise.all(Array.from({ length: CONNECTIONS }, () => newRun(agent, server.url)))
  const [startedMs, cpuBefore] = [realClock.monotonicMs(), cpuMs(server.child.pid!)]
  let count = 0
  const client = async (run: string) => {
    for (let batch = 0; realClock.monotonicMs() - startedMs < ms; batch++, count++) {
      const metrics = Array.from({ length: size }, (_, i) => ({
        key: `metric_${i % 10}`,
        value: i / 7,
        timestamp: 1_700_000_000_000 + i,
        step: batch * size + i,
      }))
      await post(agent, server.url, '/runs/log-batch', JSON.stringify({ run_id: run, metrics }))
    }
  }
  await Promise.all(runs.map(client))
  const cpu = (cpuMs(server.child.pid!) - cpuBefore) / 1_000
  const seconds = (realClock.monotonicMs() - startedMs) / 1_000
  agent.destroy()
  return { perCore: count / cpu, perSecond: count / seconds }
}

async function stop(server: Server): Promise<void> {
  const gone = new Promise((resolve) => server.child.once('exit', resolve))
  server.child.kill('SIGTERM')
  await gone
}

async function measure(): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'plimsoll-bench-'))
  const servers: Server[] = []
  try {
    servers.push(await startOurs(directory))
    servers.push(await startPeer(directory))
    process.stdout.write(
      `log_batch: requests per second of one core, ${CONNECTIONS} connections, medians of ${ROUNDS} rounds\n`,
    )
    for (const size of SIZES) {
      const figures = servers.map(() => [] as { perCore: number; perSecond: number }[])
      for (const server of servers) await round(server, size, WARM_MS)
      for (let i = 0; i < ROUNDS; i++) {
        for (const [at, server] of servers.entries()) figures[at]!.push(await round(server, size, ROUND_MS))
      }
      const [ours, peer] = figures.map((of) => ({
        core: median(of.map((one) => one.perCore)),
        wall: median(of.map((one) => one.perSecond)),
      }))
      noteFigure({
        claim: `log_batch of ${size} metrics`,
        unit: 'requests/s of one core',
        figure: ours!.core,
        peer: servers[1]!.name,
        peerFigure: peer!.core,
        isRate: true,
      })
      const shown = (value: number) => value.toFixed(1).padStart(8)
      process.stdout.write(
        `${String(size).padStart(5)} metrics: ${servers[0]!.name} ${shown(ours!.core)} (${shown(ours!.wall)}/s)  ${servers[1]!.name} ${shown(peer!.core)} (${shown(peer!.wall)}/s)  ratio ${(ours!.core / peer!.core).toFixed(2)}\n`,
      )
    }
  } finally {
    await Promise.all(servers.map(stop))
    await rm(directory, { recursive: true, force: true })
  }
}

await measure()
