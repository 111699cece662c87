import {
  datasetPage,
  health,
  isTerminalRun,
  isTerminalStep,
  liveView,
  modelList,
  modelVersionList,
  modelVersionView,
  projectList,
  releaseList,
  routeList,
  runList,
  runView,
  stepDetail,
} from '@plimsoll/sdk/wire'
import { queryOptions } from '@tanstack/react-query'
import type { z } from 'zod'
import { client } from './session.ts'

const SLOW_MS = 15_000
const LIVE_MS = 1_500
const RUNS_MAX = 50

/** What we take from it: a newer server may say more of its status. */
const healthTime = health.pick({ time: true, replay_rate: true })

function get<S extends z.ZodType>(
  key: readonly unknown[],
  path: string,
  schema: S,
  query: Record<string, string | number> = {},
) {
  return {
    queryKey: key,
    queryFn: ({ signal }: { signal: AbortSignal }) => client().call({ path, schema, query, signal }),
  }
}

const part = encodeURIComponent

export const healthQuery = queryOptions({ ...get(['health'], '/health', healthTime), refetchInterval: SLOW_MS })

/** Those that the caller may see, asked without naming one: the one of the address may not be there. */
export const projectsQuery = queryOptions({
  queryKey: ['projects'],
  queryFn: ({ signal }) => client('').call({ path: '/api/v1/projects', schema: projectList, signal }),
  staleTime: SLOW_MS,
})

export const routesQuery = queryOptions({ ...get(['routes'], '/api/v1/routes', routeList), refetchInterval: SLOW_MS })

export function releasesQuery(route: string, environment: string) {
  const path = `/api/v1/routes/${part(route)}/releases`
  return queryOptions(get(['releases', environment, route], path, releaseList, { environment, limit: 1 }))
}

export function liveQuery(route: string, environment: string) {
  const path = `/api/v1/routes/${part(route)}/live`
  return queryOptions({
    ...get(['live', environment, route], path, liveView, { environment }),
    refetchInterval: SLOW_MS,
  })
}

export function runsQuery(before?: string) {
  const query = { limit: RUNS_MAX, ...(before === undefined ? {} : { before }) }
  return queryOptions({
    ...get(['runs', before ?? ''], '/api/v1/runs', runList, query),
    refetchInterval: (answer) =>
      answer.state.data?.runs.some((run) => !isTerminalRun(run.state)) ? LIVE_MS * 2 : SLOW_MS,
  })
}

export function runQuery(run: string) {
  return queryOptions({
    ...get(['run', run], `/api/v1/runs/${part(run)}`, runView),
    refetchInterval: (answer) => (answer.state.data && !isTerminalRun(answer.state.data.state) ? LIVE_MS : false),
  })
}

export function stepQuery(run: string, step: string) {
  return queryOptions({
    ...get(['step', run, step], `/api/v1/runs/${part(run)}/steps/${part(step)}`, stepDetail),
    refetchInterval: (answer) => (answer.state.data && !isTerminalStep(answer.state.data.state) ? LIVE_MS : false),
  })
}

export const datasetsQuery = queryOptions({
  ...get(['datasets'], '/api/v1/datasets', datasetPage),
  refetchInterval: SLOW_MS,
})

export const modelsQuery = queryOptions({ ...get(['models'], '/api/v1/models', modelList), refetchInterval: SLOW_MS })

export function versionsQuery(model: string) {
  return queryOptions(get(['versions', model], `/api/v1/models/${part(model)}/versions`, modelVersionList))
}

export function versionQuery(model: string, version: number) {
  const path = `/api/v1/models/${part(model)}/versions/${version}`
  return queryOptions({ ...get(['version', model, version], path, modelVersionView), refetchInterval: SLOW_MS })
}

/** Asks the server to cancel a run. */
export async function cancelRun(run: string): Promise<void> {
  await client().call({ method: 'POST', path: `/api/v1/runs/${part(run)}/cancel`, body: {}, isIdempotent: true })
}
