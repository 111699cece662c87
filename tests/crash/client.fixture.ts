import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Platform } from './platform.fixture.ts'

const TIMEOUT_MS = 30_000
const RETRY_MS = 100
const GIVE_UP_MS = 120_000

export interface Answer {
  readonly status: number
  readonly body: unknown
}

export interface Request {
  readonly method?: 'GET' | 'POST' | 'PUT'
  readonly json?: unknown
  readonly bytes?: Uint8Array
  readonly headers?: Record<string, string>
  readonly token?: string
}

/** Speaks to a platform that may die at any moment. */
export interface Client {
  readonly platform: Platform
  /** Undefined when the connection was refused or broke: then nobody knows what was done. */
  try(url: string, request?: Request): Promise<Answer | undefined>
  /** Repeats until it is answered with success. What is sent must be free to repeat. */
  must<Body>(url: string, request?: Request): Promise<Body>
  /** Answers that no client should see: everything but success, 503, and 504, which says that the machine was too slow. */
  readonly dishonest: string[]
  readonly counts: { answered: number; unavailable: number; broken: number }
}

export function openClient(platform: Platform): Client {
  const dishonest: string[] = []
  const counts = { answered: 0, unavailable: 0, broken: 0 }
  const operator = () => readFileSync(join(platform.dataDir, 'operator-token'), 'utf8').trim()

  const send = async (url: string, request: Request): Promise<Answer | undefined> => {
    const { method = 'GET', json, bytes, headers, token = operator() } = request
    const body = json === undefined ? bytes : JSON.stringify(json)
    try {
      const response = await fetch(url, {
        method,
        headers: {
          authorization: `Bearer ${token}`,
          ...(json === undefined ? {} : { 'content-type': 'application/json' }),
          ...(bytes === undefined ? {} : { 'content-type': 'application/octet-stream' }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: body as RequestInit['body'] & {} }), // text or bytes
        signal: AbortSignal.timeout(TIMEOUT_MS),
      })
      const text = await response.text()
      const isJson = response.headers.get('content-type')?.includes('json') === true
      return { status: response.status, body: isJson ? JSON.parse(text) : text }
    } catch {
      return undefined
    }
  }
  const attempt = async (url: string, request: Request = {}): Promise<Answer | undefined> => {
    const answer = await send(url, request)
    if (answer === undefined) counts.broken++
    else if (answer.status === 503 || answer.status === 504) counts.unavailable++
    else if (answer.status >= 200 && answer.status < 300) counts.answered++
    else
      dishonest.push(
        `${request.method ?? 'GET'} ${new URL(url).pathname} ${answer.status} ${JSON.stringify(answer.body).slice(0, 300)}`,
      )
    return answer
  }
  return {
    platform,
    dishonest,
    counts,
    try: attempt,
    async must<Body>(url: string, request?: Request) {
      for (const untilMs = performance.now() + GIVE_UP_MS; performance.now() < untilMs; await sleep(RETRY_MS)) {
        const answer = await attempt(url, request)
        if (answer && answer.status < 300) return answer.body as Body // the caller knows the endpoint's contract
      }
      throw new Error(`No answer to ${url} within ${GIVE_UP_MS} ms: ${dishonest.at(-1) ?? 'it is not there'}`)
    },
  }
}
