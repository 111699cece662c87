import type { Expectation, HostileCase } from './case.ts'
import { exchange, type HostileAnswer } from './exchange.ts'
import type { Platform } from './platform.fixture.ts'

export type Rendering = 'problem' | 'mlflow' | 'oip'

const PARALLEL = 6
/** Of one answer among others, on a machine that others use too. */
const ANSWER_MS_MAX = 10_000
/** Of an answer that has the platform for itself; beyond it the processor time decides, which does not depend on others. */
const ALONE_MS_MAX = 1_000
const GROWTH_BYTES_MAX = 64 << 20
const SETTLE_MS = 15_000
/** Traces, source files and folders of ours: nothing that an answer may hold. */
const LEAK = /\n\s+at |node:internal|\.ts:\d+|node_modules|plimsoll-hostile-|polluted|PGlite|select "|insert into/

const MEMBERS: Record<Rendering, readonly string[]> = {
  problem: ['type', 'title', 'status', 'detail', 'code'],
  mlflow: ['error_code', 'message'],
  oip: ['error', 'code'],
}
const TYPES: Record<Rendering, string> = {
  problem: 'application/problem+json',
  mlflow: 'application/json',
  oip: 'application/json',
}

function oneOf<T>(given: T | readonly T[]): readonly T[] {
  return Array.isArray(given) ? (given as readonly T[]) : [given as T]
}

function renderingFaults(answer: HostileAnswer, rendering: Rendering, expected: Expectation): string[] {
  const type = answer.headers.get('content-type') ?? 'none'
  if (!type.startsWith(TYPES[rendering])) return [`content type ${type}`]
  let body: Record<string, unknown>
  try {
    body = JSON.parse(answer.body) as Record<string, unknown> // its members are looked at next
  } catch {
    return [`no JSON: ${answer.body.slice(0, 80)}`]
  }
  const lacking = MEMBERS[rendering].filter((member) => body[member] === undefined)
  const code = String(body['code'] ?? body['error_code'])
  return [
    ...(lacking.length > 0 ? [`lacks ${lacking.join(', ')}`] : []),
    ...(rendering === 'problem' && body['status'] !== answer.status
      ? [`says ${String(body['status'])} in its body`]
      : []),
    ...(expected.code !== undefined && !oneOf(expected.code).includes(code) ? [`code ${code}`] : []),
  ]
}

/** What is wrong with an answer. */
function faultsOf(answer: HostileAnswer, expected: Expectation, rendering: Rendering): string[] {
  const faults: string[] = []
  if (!oneOf(expected.status).includes(answer.status)) faults.push(`status ${answer.status}`)
  if (answer.ms > (expected.withinMs ?? ANSWER_MS_MAX)) faults.push(`${Math.round(answer.ms)} ms`)
  if (LEAK.test(answer.body)) faults.push('shows what is inside')
  if (answer.status === 405 && !answer.headers.has('allow')) faults.push('says not which methods it takes')
  if (answer.headers.has('access-control-allow-origin')) faults.push('lets other origins in')
  if (answer.status >= 400) faults.push(...renderingFaults(answer, expected.rendering ?? rendering, expected))
  return faults.length > 0 ? [...faults, answer.body.slice(0, 300)] : []
}

/** Sends every case of a table, and says of each answer that is not as it should be what is wrong. */
export async function runCases(
  platform: Platform,
  cases: readonly HostileCase[],
  options: {
    renderingOf(testCase: HostileCase): Rendering
    authorizationOf(testCase: HostileCase): string | undefined
  },
): Promise<string[]> {
  const failures: string[] = []
  const slow: HostileCase[] = []
  const portOf = (url: string) => Number(new URL(url).port)
  const send = (one: HostileCase) =>
    exchange(
      one.input,
      one.input.to === 'gateway'
        ? { port: portOf(platform.gateway), authorization: undefined }
        : { port: portOf(platform.api), authorization: options.authorizationOf(one) },
    )
  const queue = [...cases]
  const work = async () => {
    for (let one = queue.shift(); one !== undefined; one = queue.shift()) {
      const answer = await send(one)
      const faults = faultsOf(answer, one.expect, options.renderingOf(one))
      if (faults.length > 0) failures.push(`${one.name}: ${faults.join('; ')}`)
      if (answer.ms > ALONE_MS_MAX && one.expect.withinMs === undefined) slow.push(one)
    }
  }
  await Promise.all(Array.from({ length: PARALLEL }, work))
  for (const one of slow) {
    const beforeMs = platform.cpuMs()
    const { ms } = await send(one)
    const cpuMs = platform.cpuMs() - beforeMs
    if (Math.min(ms, cpuMs) > ALONE_MS_MAX)
      failures.push(`${one.name}: ${Math.round(ms)} ms, ${cpuMs} of them computing`)
  }
  return failures
}

/** The state of the platform before a table, to be compared with the one after it. */
export function observe(platform: Platform) {
  const pids = platform.processes()
  const resident = platform.residentBytes()
  return {
    /** What a table has done beyond its answers: deaths, files, a polluted prototype. */
    async harm(): Promise<string[]> {
      const now = platform.processes()
      const harm = [...pids].filter(([pid]) => !now.has(pid)).map(([pid, what]) => `died: ${pid} ${what}`)
      harm.push(...platform.trespasses())
      for (const url of [platform.api, platform.gateway]) {
        const answer = await exchange(
          { target: '/nothing/here' },
          { port: Number(new URL(url).port), authorization: undefined },
        )
        if (answer.status !== 404 || /polluted|987654/.test(answer.body) || answer.headers.has('retry-after'))
          harm.push(`a plain 404 has become ${answer.status} ${answer.body.slice(0, 200)}`)
      }
      return harm
    },
    /** Processes that have grown by more than they may. */
    growth: () => growth(platform, resident),
  }
}

/** Memory comes back when the collector has run: looked at until it has, or the time is over. */
async function growth(platform: Platform, before: ReadonlyMap<number, number>): Promise<string[]> {
  const untilMs = performance.now() + SETTLE_MS
  for (;;) {
    const now = platform.residentBytes()
    const grown = [...before].flatMap(([pid, bytes]) => {
      const more = (now.get(pid) ?? 0) - bytes
      return more > GROWTH_BYTES_MAX
        ? [`grew by ${Math.round(more / 2 ** 20)} MB: ${pid} ${platform.processes().get(pid)}`]
        : []
    })
    if (grown.length === 0 || performance.now() > untilMs) return grown
    await new Promise((resolve) => setTimeout(resolve, 250))
  }
}
