import { ClientError } from '@plimsoll/sdk/client'
import { type QueryClient, queryOptions } from '@tanstack/react-query'
import { z } from 'zod'
import { projectsQuery } from './queries.ts'
import { client, NAMED_PROJECT, PROJECT } from './session.ts'

const LIVE_MS = 5_000
const PROJECTS_MAX = 20
const GONE = 404

/** How many experiments, and runs of one, are shown. */
export const RUNS_SHOWN = 100

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

/** The other projects that a link of MLflow's may mean, which names none: all that the caller may see, unless the address does. */
async function otherProjects(queries: QueryClient): Promise<readonly string[]> {
  if (NAMED_PROJECT !== undefined) return []
  const { projects } = await queries.ensureQueryData(projectsQuery)
  return projects
    .map(({ project }) => project)
    .filter((project) => project !== PROJECT)
    .slice(0, PROJECTS_MAX)
}

/** Each that it may mean is asked in turn. */
async function findInProjects<T>(queries: QueryClient, ask: (project: string) => Promise<T>) {
  try {
    return { project: PROJECT, found: await ask(PROJECT) }
  } catch (error) {
    if (!(error instanceof ClientError) || error.status !== GONE) throw error
    for (const project of await otherProjects(queries)) {
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

/** An experiment, and the other projects that have one of this id: in each they count from 1. */
export function experimentQuery(id: string) {
  return queryOptions({
    queryKey: ['experiment', id],
    queryFn: async ({ client: queries, signal }) => {
      const ask = async (project: string) => {
        const path = '/api/2.0/mlflow/experiments/get'
        const query = { experiment_id: id }
        return (await client(project).call({ path, schema: experiment, query, signal })).experiment
      }
      const { project, found } = await findInProjects(queries, ask)
      // A page of another project is opened anew, with its name in the address.
      const others = project === PROJECT ? await otherProjects(queries) : []
      const also = await Promise.all(
        others.map(async (other) => {
          const same = await ask(other).catch(() => undefined)
          return same === undefined ? [] : [{ project: other, name: same.name }]
        }),
      )
      return { project, found, others: also.flat() }
    },
  })
}

const experiments = z.object({
  experiments: z
    .array(z.object({ experiment_id: z.string(), name: z.string(), last_update_time: z.coerce.number().optional() }))
    .default([]),
  next_page_token: z.string().optional(),
})

/** Experiments of the project that are not deleted, those that were changed last first. */
export const experimentsQuery = queryOptions({
  queryKey: ['experiments'],
  queryFn: ({ signal }) =>
    client().call({
      method: 'POST',
      path: '/api/2.0/mlflow/experiments/search',
      body: { max_results: RUNS_SHOWN, order_by: ['last_update_time DESC'] },
      isIdempotent: true,
      schema: experiments,
      signal,
    }),
})

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
