import { ClientError } from '@plimsoll/sdk/client'
import { type QueryClient, queryOptions } from '@tanstack/react-query'
import { z } from 'zod'
import { projectsQuery } from './queries.ts'
import { client, NAMED_PROJECT, PROJECT } from './session.ts'

const LIVE_MS = 5_000
const PROJECTS_MAX = 20
const GONE = 404

const pairs = z.array(z.object({ key: z.string(), value: z.string() })).default([])
/** What we take from a run as MLflow's REST API tells it. A metric that is no number is text. */
const trackedRun = z.object({
  info: z.object({
    run_id: z.string(),
    run_name: z.string().default(''),
    experiment_id: z.string(),
    status: z.string(),
    start_time: z.coerce.number().optional(),
    end_time: z.coerce.number().optional(),
    lifecycle_stage: z.string().optional(),
  }),
  data: z.object({
    metrics: z.array(z.object({ key: z.string(), value: z.union([z.number(), z.string()]) })).default([]),
    params: pairs,
    tags: pairs,
  }),
})
const foundRun = z.object({ run: trackedRun })
const foundRuns = z.object({ runs: z.array(trackedRun).default([]), next_page_token: z.string().optional() })
export type TrackedRun = z.output<typeof trackedRun>

const experiment = z.object({ experiment: z.object({ experiment_id: z.string(), name: z.string() }) })

const isGoing = ({ info }: TrackedRun): boolean => info.status === 'RUNNING'

/** MLflow's links name no project: where the address names none, each that the caller may see is asked in turn. */
async function findInProjects<T>(queries: QueryClient, ask: (project: string) => Promise<T>) {
  const others = async () =>
    NAMED_PROJECT === undefined ? (await queries.ensureQueryData(projectsQuery)).projects.map((one) => one.project) : []
  try {
    return { project: PROJECT, found: await ask(PROJECT) }
  } catch (error) {
    if (!(error instanceof ClientError) || error.status !== GONE) throw error
    for (const project of (await others()).filter((one) => one !== PROJECT).slice(0, PROJECTS_MAX)) {
      const found = await ask(project).catch(() => undefined)
      if (found !== undefined) return { project, found }
    }
    throw error
  }
}

export function trackedRunQuery(id: string) {
  return queryOptions({
    queryKey: ['tracked', id],
    queryFn: ({ client: queries, signal }) =>
      findInProjects(queries, async (project) => {
        const call = { path: '/api/2.0/mlflow/runs/get', schema: foundRun, query: { run_id: id }, signal }
        return (await client(project).call(call)).run
      }),
    refetchInterval: (answer) => (answer.state.data && isGoing(answer.state.data.found) ? LIVE_MS : false),
  })
}

export function experimentQuery(id: string) {
  return queryOptions({
    queryKey: ['experiment', id],
    queryFn: ({ client: queries, signal }) =>
      findInProjects(queries, async (project) => {
        const path = '/api/2.0/mlflow/experiments/get'
        return (await client(project).call({ path, schema: experiment, query: { experiment_id: id }, signal }))
          .experiment
      }),
  })
}

/** How many runs of an experiment are shown. */
export const RUNS_SHOWN = 100

/** The newest runs of an experiment that are not deleted. */
export function experimentRunsQuery(id: string) {
  return queryOptions({
    queryKey: ['experiment', id, 'runs'],
    queryFn: ({ signal }) =>
      client().call({
        method: 'POST',
        path: '/api/2.0/mlflow/runs/search',
        body: { experiment_ids: [id], max_results: RUNS_SHOWN },
        isIdempotent: true,
        schema: foundRuns,
        signal,
      }),
    refetchInterval: (answer) => (answer.state.data?.runs.some(isGoing) ? LIVE_MS : false),
  })
}
