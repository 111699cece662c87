import type { z } from 'zod'

/** A problem as the server told it (RFC 9457), with its stable code and what to do next. */
export class ClientError extends Error {
  readonly status: number
  readonly code: string
  readonly action: string | undefined
  readonly faults: readonly { pointer: string; detail: string }[]
  readonly requestId: string | undefined

  constructor(problem: {
    status: number
    code: string
    detail: string
    action?: string | undefined
    faults?: readonly { pointer: string; detail: string }[]
    requestId?: string | undefined
  }) {
    super(problem.detail)
    this.name = 'ClientError'
    this.status = problem.status
    this.code = problem.code
    this.action = problem.action
    this.faults = problem.faults ?? []
    this.requestId = problem.requestId
  }
}

/** How to reach a server. */
export interface ClientOptions {
  /** Base URL, for example `http://127.0.0.1:7440`. */
  readonly server: string
  readonly project?: string | undefined
  /** Goes into the Authorization header of every call, and never into a message. */
  readonly token?: string | undefined
  readonly timeoutMs?: number | undefined
  /** Makes the Authorization header of a call that a person signs; takes precedence over `token`. */
  readonly authorise?:
    | ((call: { method: string; path: string; project: string; body: Uint8Array }) => Promise<string>)
    | undefined
}

/** One call. `schema` checks the answer; without it the parsed JSON is returned as unknown. */
export interface Call<S extends z.ZodType | undefined> {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly path: string
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>
  readonly body?: unknown
  /** Sent as it is, as application/octet-stream, instead of JSON. */
  readonly bytes?: Uint8Array
  readonly headers?: Readonly<Record<string, string>>
  readonly schema?: S
  readonly signal?: AbortSignal
  /** True when repeating the call has no second effect; GET, PUT and DELETE are. */
  readonly isIdempotent?: boolean
}

/** The typed client: problems become `ClientError`, answers are checked, and only idempotent calls are repeated. */
export interface Client {
  readonly server: string
  readonly project: string
  call<S extends z.ZodType | undefined = undefined>(call: Call<S>): Promise<S extends z.ZodType ? z.output<S> : unknown>
  /** The answer as it came, for logs and files; a problem still throws. */
  fetch(call: Omit<Call<undefined>, 'schema'>): Promise<Response>
}

const ATTEMPTS_MAX = 3
const BACKOFF_MS = 200
const BACKOFF_MAX_MS = 5_000
const DEFAULT_TIMEOUT_MS = 60_000
const RETRY_STATUS = new Set([429, 502, 503, 504])

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

async function problemFrom(response: Response): Promise<ClientError> {
  let problem: Record<string, unknown> = {}
  try {
    const parsed: unknown = await response.json()
    if (typeof parsed === 'object' && parsed !== null) problem = parsed as Record<string, unknown> // every member is checked below
  } catch {
    // not from us: a proxy in between
  }
  const faults = Array.isArray(problem.errors)
    ? problem.errors.flatMap((fault: unknown) => {
        const { pointer, detail } = (fault ?? {}) as { pointer?: unknown; detail?: unknown }
        return typeof pointer === 'string' && typeof detail === 'string' ? [{ pointer, detail }] : []
      })
    : []
  return new ClientError({
    status: response.status,
    code: text(problem.code) ?? text(problem.error_code) ?? `http.${response.status}`,
    detail:
      text(problem.detail) ?? text(problem.message) ?? text(problem.error) ?? `The server answered ${response.status}`,
    action: text(problem.action),
    faults,
    requestId: text(problem.instance) ?? response.headers.get('x-request-id') ?? undefined,
  })
}

type RawCall = Omit<Call<undefined>, 'schema'>

/** How a connection ends over which a request has gone. */
const LOST_CODES = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE', 'UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT'])

function unreachable(server: string, error: unknown, sent: { isLate: boolean; mayRepeat: boolean }): ClientError {
  const { code, message } = ((error as Error).cause ?? {}) as { code?: string; message?: string } // undici's, where it is one
  if (!sent.mayRepeat && (sent.isLate || LOST_CODES.has(code ?? '')))
    return new ClientError({
      status: sent.isLate ? 504 : 503,
      code: 'client.outcome_unknown',
      detail: `The answer of ${server} was lost: ${sent.isLate ? 'it did not come in time' : code}`,
      action: 'It may have been done all the same: look at what is there before you repeat it',
    })
  if (sent.isLate)
    return new ClientError({ status: 504, code: 'client.timeout', detail: `${server} did not answer in time` })
  const why = code ?? message ?? (error as Error).message
  return new ClientError({
    status: 503,
    code: 'client.unreachable',
    detail: `Cannot reach ${server}: ${why}`,
    action: 'Is it running? Start it with plimsoll up, or name it with --server',
  })
}

async function sendOnce(
  options: ClientOptions,
  server: string,
  project: string,
  call: RawCall,
  { method, mayRepeat }: { method: string; mayRepeat: boolean },
): Promise<Response> {
  const url = new URL(server + call.path)
  for (const [name, value] of Object.entries(call.query ?? {})) {
    if (value !== undefined) url.searchParams.set(name, String(value))
  }
  const body = call.bytes ?? (call.body === undefined ? undefined : new TextEncoder().encode(JSON.stringify(call.body)))
  const headers: Record<string, string> = { accept: 'application/json', 'x-plimsoll-project': project, ...call.headers }
  if (body !== undefined) headers['content-type'] ??= call.bytes ? 'application/octet-stream' : 'application/json'
  if (options.authorise) {
    const path = url.pathname + url.search
    headers.authorization = await options.authorise({ method, path, project, body: body ?? new Uint8Array() })
  } else if (options.token !== undefined) headers.authorization = `Bearer ${options.token}`
  const timeout = AbortSignal.timeout(options.timeoutMs ?? DEFAULT_TIMEOUT_MS)
  const signal = call.signal ? AbortSignal.any([call.signal, timeout]) : timeout
  try {
    const content = body === undefined ? {} : { body: Uint8Array.from(body) }
    return await fetch(url, { method, headers, ...content, signal, redirect: 'error' })
  } catch (error) {
    if (call.signal?.aborted) throw call.signal.reason
    throw unreachable(server, error, { isLate: timeout.aborted, mayRepeat })
  }
}

/** Sends, and repeats what may be repeated. */
async function send(options: ClientOptions, server: string, project: string, call: RawCall): Promise<Response> {
  const method = call.method ?? 'GET'
  const mayRepeat = call.isIdempotent ?? (method === 'GET' || method === 'PUT' || method === 'DELETE')
  for (let attempt = 1; ; attempt++) {
    let failure: ClientError
    let retryMs = BACKOFF_MS * 2 ** attempt
    try {
      const response = await sendOnce(options, server, project, call, { method, mayRepeat })
      if (response.ok) return response
      failure = await problemFrom(response)
      const retryAfter = Number(response.headers.get('retry-after'))
      if (Number.isFinite(retryAfter) && retryAfter > 0) retryMs = retryAfter * 1_000
    } catch (error) {
      if (!(error instanceof ClientError)) throw error
      failure = error
    }
    if (!mayRepeat || attempt === ATTEMPTS_MAX || !RETRY_STATUS.has(failure.status)) throw failure
    await sleep(Math.min(BACKOFF_MAX_MS, retryMs))
  }
}

/** The JSON of an answer. What is none comes from something else that listens there. */
async function answerOf(response: Response, path: string): Promise<unknown> {
  try {
    return await response.json()
  } catch {
    throw new ClientError({
      status: 500,
      code: 'client.bad_answer',
      detail: `The answer of ${path} is no JSON`,
      action: 'Is the address that of a Plimsoll server?',
    })
  }
}

/** Opens a client; nothing is sent until the first call. */
export function openClient(options: ClientOptions): Client {
  if (options.server.includes('@'))
    throw new TypeError('The address of a server has no user and no password: give a token instead')
  const server = options.server.replace(/\/+$/, '')
  const project = options.project ?? 'default'
  return {
    server,
    project,
    fetch: (call) => send(options, server, project, call),
    async call<S extends z.ZodType | undefined = undefined>(call: Call<S>) {
      const { schema, ...rest } = call
      const response = await send(options, server, project, rest)
      const body = response.status === 204 ? undefined : await answerOf(response, call.path)
      if (schema === undefined) return body as never // without a schema the answer is unknown
      const parsed = schema.safeParse(body)
      if (parsed.success) return parsed.data as never // the schema's output
      const [issue] = parsed.error.issues
      throw new ClientError({
        status: 500,
        code: 'client.bad_answer',
        detail: `The answer of ${call.path} is not the expected one: ${issue?.path.join('.')} ${issue?.message}`,
        action: 'Do server and client have the same version?',
      })
    },
  }
}
