import { setTimeout as sleep } from 'node:timers/promises'
import type { ModelVersionSummary, ReleaseView, RouteView, RunView } from '@plimsoll/sdk/wire'
import { openCommandLine } from '../../packages/platform/src/cli/process.fixture.ts'
import type { Client } from './client.fixture.ts'

const POLL_MS = 500
const TERMINAL = new Set(['succeeded', 'failed', 'cancelled'])
/** A step that is killed again and again fails in the end, as its budget says; an operator then starts the run again. */
const RUN_TRIES_MAX = 10

export interface Voyage {
  readonly pipelines: readonly { name: string; steps: readonly string[]; params: Readonly<Record<string, string>> }[]
  readonly route: string
  /** Acknowledged runs by their idempotency key. */
  readonly runs: Map<string, string>
  /** Runs that ended badly, with the reasons of their steps. */
  readonly failures: string[]
  readonly approvals: Set<string>
  readonly releases: string[]
  /** Runs every pipeline; with `isForced`, nothing comes from the cache. */
  runAll(isForced: boolean): Promise<void>
  /** Approves the newest version of the route's model as a named person, and releases it. */
  releaseNewest(): Promise<void>
}

interface Definition {
  readonly steps: readonly { key: string }[]
  readonly params: Readonly<Record<string, unknown>>
}

/** The online store is filled up to one instant, whenever that is done: by the clock each run would fill it to another. */
function valuesOf(params: Definition['params']): Record<string, string> {
  return Object.hasOwn(params, 'until') ? { until: '2001-05-01T00:00:00Z' } : {}
}

/** Runs the CLI against the platform. */
export async function plimsoll(
  dataDir: string,
  args: readonly string[],
): Promise<{ status: number | null; text: string }> {
  const { status, out, err } = await openCommandLine(process.cwd()).run(...args, '--data-dir', dataDir, '--json')
  return { status, text: out + err }
}

/** Takes the example's project as it is, and does what its user does. */
export async function openVoyage(client: Client, project: string): Promise<Voyage> {
  const { platform } = client
  const url = (path: string) => `${platform.api}/api/v1${path}`
  const applied = await plimsoll(platform.dataDir, ['apply', project])
  if (applied.status !== 0) throw new Error(`apply ended with ${applied.status}: ${applied.text}`)
  const { token } = await client.must<{ token: string }>(url('/tokens'), {
    method: 'POST',
    json: { principal: 'ada', role: 'approver' },
  })
  const listed = await client.must<{ pipelines: { name: string }[] }>(url('/pipelines'))
  const pipelines = await Promise.all(
    listed.pipelines.map(async ({ name }) => {
      const { definition } = await client.must<{ definition: Definition }>(url(`/pipelines/${name}`))
      return { name, steps: definition.steps.map((step) => step.key), params: valuesOf(definition.params) }
    }),
  )
  // What is filled up to an instant reads what the others have made.
  pipelines.sort((a, b) => Object.keys(a.params).length - Object.keys(b.params).length)
  const { routes } = await client.must<{ routes: RouteView[] }>(url('/routes'))
  const { name: route, definition } = routes[0]!
  const runs = new Map<string, string>()
  const failures: string[] = []
  const approvals = new Set<string>()
  const releases: string[] = []

  const runOnce = async (pipeline: Voyage['pipelines'][number], isForced: boolean): Promise<RunView> => {
    const idempotencyKey = `${pipeline.name}-${runs.size}`
    const { id } = await client.must<{ id: string }>(url('/runs'), {
      method: 'POST',
      json: {
        pipeline: pipeline.name,
        params: pipeline.params,
        idempotencyKey,
        options: { forceFrom: isForced ? pipeline.steps : [] },
      },
    })
    runs.set(idempotencyKey, id)
    for (;;) {
      const run = await client.must<RunView>(url(`/runs/${id}`))
      if (TERMINAL.has(run.state)) return run
      await sleep(POLL_MS)
    }
  }
  const runUntilDone = async (pipeline: Voyage['pipelines'][number], isForced: boolean) => {
    for (let tries = 0; tries < RUN_TRIES_MAX; tries++) {
      const run = await runOnce(pipeline, isForced)
      if (run.state === 'succeeded') return
      const reasons = run.graph.filter((step) => step.state === 'failed').map((step) => `${step.key}: ${step.reason}`)
      failures.push(`${pipeline.name}: ${run.reason ?? ''} ${reasons.join('; ')}`)
    }
    throw new Error(`Pipeline ${pipeline.name} failed ${RUN_TRIES_MAX} times: ${failures.at(-1)}`)
  }
  /** A release moves the route each time, so that one whose answer was lost is looked for before it is sent again. */
  const releaseOnce = async (version: number, reason: string): Promise<ReleaseView> => {
    for (;;) {
      const found = await client.must<{ releases: ReleaseView[] }>(url(`/routes/${route}/releases`))
      const known = found.releases.find((entry) => entry.reason === reason)
      if (known) return known
      const answer = await client.try(url(`/routes/${route}/releases`), {
        method: 'POST',
        json: { version, reason },
        token,
      })
      if (answer?.status === 200) return answer.body as ReleaseView // the endpoint's contract
      await sleep(POLL_MS)
    }
  }
  return {
    pipelines,
    route,
    runs,
    failures,
    approvals,
    releases,
    async runAll(isForced) {
      for (const pipeline of pipelines) await runUntilDone(pipeline, isForced)
    },
    async releaseNewest() {
      const { versions } = await client.must<{ versions: ModelVersionSummary[] }>(
        url(`/models/${definition.model}/versions`),
      )
      const newest = versions.toSorted((a, b) => b.version - a.version)[0]!
      const path = `/models/${definition.model}/versions/${newest.version}/approvals`
      await client.must(url(path), { method: 'POST', json: { comment: 'looks well' }, token })
      approvals.add(`${definition.model}/${newest.version}`)
      releases.push((await releaseOnce(newest.version, `release ${releases.length}`)).id)
    },
  }
}
