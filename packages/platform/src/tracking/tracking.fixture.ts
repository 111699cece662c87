import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BlobStore } from '@plimsoll/sdk/seams'
import Fastify from 'fastify'
import { openFilesBlobStore } from '../adapters/files/index.ts'
import { openTestDatabase, type TestDatabase } from '../kernel/db/database.fixture.ts'
import type { Principal } from '../kernel/db/index.ts'
import { silentLog } from '../kernel/log.ts'
import { type ArtifactMount, type MlflowEndpoint, mlflowTrackingEndpoints, registerMlflowSurface } from './index.ts'

const EDITOR: Principal = { id: 'anonymous', kind: 'anonymous', named: false, role: 'editor', proof: 'none' }

export interface Answer {
  readonly status: number
  readonly text: string
  // biome-ignore lint/suspicious/noExplicitAny: tests read members of replies of every shape
  readonly json: any
  readonly headers: Headers
}

export interface TestSurface {
  readonly database: TestDatabase
  readonly blobs: BlobStore
  readonly url: string
  readonly port: number
  /** Sends a request below `/api/2.0/mlflow`; a body of text goes as it stands. */
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>
  /** The answer's JSON, or a failure that shows what came instead. */
  // biome-ignore lint/suspicious/noExplicitAny: as above
  ok(method: string, path: string, body?: unknown): Promise<any>
  /** The code that an endpoint refused the last call with: MLflow's answers have no room for it. */
  refusedWith(): unknown
  /** Callers are this principal from now on. */
  become(principal: Partial<Principal>): void
  close(): Promise<void>
}

/** The whole MLflow surface over real HTTP, on a real database and blob store. */
export async function openTestSurface(
  more: (blobs: BlobStore) => readonly MlflowEndpoint[] = () => [],
  options: { artifactMaxBytes?: number; mounts?: readonly ArtifactMount[] } = {},
): Promise<TestSurface> {
  const database = await openTestDatabase()
  const directory = await mkdtemp(join(tmpdir(), 'plimsoll-tracking-'))
  const blobs = await openFilesBlobStore(directory)
  let principal = EDITOR
  let refusedWith: unknown
  const noting = (endpoint: MlflowEndpoint): MlflowEndpoint => ({
    ...endpoint,
    handler: async (call) => {
      refusedWith = undefined
      try {
        return await endpoint.handler(call)
      } catch (error) {
        refusedWith = (error as { code?: unknown }).code // whatever it is, it is compared
        throw error
      }
    },
  })
  const app = Fastify({ forceCloseConnections: true })
  await registerMlflowSurface(app, {
    endpoints: [...mlflowTrackingEndpoints({ blobs, ...options }), ...more(blobs)].map(noting),
    contextOf: async (request) =>
      database.ctx.as({
        project: (request.headers['x-mlflow-workspace'] as string | undefined) ?? 'default',
        principal,
      }),
    clock: database.ctx.clock,
    log: silentLog,
  })
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  const call: TestSurface['call'] = async (method, path, body, headers = {}) => {
    const json = body === undefined ? {} : { 'content-type': 'application/json' }
    const response = await fetch(
      path.startsWith('/api') || path.startsWith('/ajax') ? url + path : `${url}/api/2.0/mlflow${path}`,
      {
        method,
        headers: { ...json, ...headers },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      },
    )
    const text = await response.text()
    let parsed: unknown
    try {
      parsed = JSON.parse(text)
    } catch {
      parsed = undefined
    }
    return { status: response.status, text, json: parsed, headers: response.headers }
  }
  return {
    database,
    blobs,
    url,
    port: Number(new URL(url).port),
    call,
    ok: async (method, path, body) => {
      const answer = await call(method, path, body)
      if (answer.status !== 200) throw new Error(`${method} ${path} answered ${answer.status} ${answer.text}`)
      return answer.json
    },
    refusedWith: () => refusedWith,
    become: (change) => {
      principal = { ...EDITOR, ...change }
    },
    close: async () => {
      await app.close()
      await blobs.close()
      await database.close()
      await rm(directory, { recursive: true, force: true })
    },
  }
}
