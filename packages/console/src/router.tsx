import {
  createRootRoute,
  createRoute,
  createRouter,
  type ErrorComponentProps,
  lazyRouteComponent,
  redirect,
  retainSearchParams,
} from '@tanstack/react-router'
import { Loading, Problem } from './parts/answer.tsx'
import { NotFound } from './rooms/not-found.tsx'
import { Shell } from './shell/shell.tsx'

function Broken({ error, reset }: ErrorComponentProps) {
  return <Problem error={error instanceof Error ? error : new Error(String(error))} retry={reset} />
}

const rooms = {
  overview: () => import('./rooms/overview/overview.tsx'),
  runs: () => import('./rooms/run/runs.tsx'),
  run: () => import('./rooms/run/run.tsx'),
  models: () => import('./rooms/model/models.tsx'),
  version: () => import('./rooms/model/model-version.tsx'),
  tracked: () => import('./rooms/tracked/tracked.tsx'),
}

/** Reads the scripts of all rooms; one that cannot be read is asked for again when it is opened. */
export async function loadRooms(): Promise<void> {
  await Promise.allSettled(Object.values(rooms).map((load) => load()))
}

/** `/experiments/ID` and `/experiments/ID/runs/RUN`, with whatever page or query MLflow would open there. */
const MLFLOW_HASH = /^\/experiments(?:\/([\w-]+)(?:\/runs\/([\w-]+))?)?(?=[/?]|$)/

const root = createRootRoute({
  // Kept by every link, so that a page can be sent to someone else.
  validateSearch: ({ project }: Record<string, unknown>): { project?: string } =>
    typeof project === 'string' ? { project } : {},
  search: { middlewares: [retainSearchParams(['project'])] },
  component: Shell,
  notFoundComponent: NotFound,
})
const overview = createRoute({
  getParentRoute: () => root,
  path: '/',
  // The mlflow client prints links to pages of MLflow's own, which the server never sees.
  beforeLoad: ({ location }) => {
    const [all, experiment, tracked] = MLFLOW_HASH.exec(location.hash) ?? []
    if (tracked !== undefined) throw redirect({ to: '/tracked/runs/$tracked', params: { tracked }, replace: true })
    if (experiment !== undefined)
      throw redirect({ to: '/tracked/experiments/$experiment', params: { experiment }, replace: true })
    if (all !== undefined) throw redirect({ to: '/tracked/experiments', replace: true })
  },
  component: lazyRouteComponent(rooms.overview, 'Overview'),
})
const runs = createRoute({
  getParentRoute: () => root,
  path: '/runs',
  component: lazyRouteComponent(rooms.runs, 'Runs'),
})
const run = createRoute({
  getParentRoute: () => root,
  path: '/runs/$run',
  validateSearch: (search: Record<string, unknown>): { step?: string } =>
    typeof search.step === 'string' ? { step: search.step } : {},
  component: lazyRouteComponent(rooms.run, 'Run'),
})
const models = createRoute({
  getParentRoute: () => root,
  path: '/models',
  component: lazyRouteComponent(rooms.models, 'Models'),
})
const model = createRoute({
  getParentRoute: () => root,
  path: '/models/$model',
  component: lazyRouteComponent(rooms.models, 'Versions'),
})
const version = createRoute({
  getParentRoute: () => root,
  path: '/models/$model/versions/$version',
  component: lazyRouteComponent(rooms.version, 'ModelVersion'),
})
const tracked = createRoute({
  getParentRoute: () => root,
  path: '/tracked/runs/$tracked',
  component: lazyRouteComponent(rooms.tracked, 'Tracked'),
})
const experiments = createRoute({
  getParentRoute: () => root,
  path: '/tracked/experiments',
  component: lazyRouteComponent(rooms.tracked, 'Experiments'),
})
const experiment = createRoute({
  getParentRoute: () => root,
  path: '/tracked/experiments/$experiment',
  component: lazyRouteComponent(rooms.tracked, 'Experiment'),
})

/** One lazy chunk per room. */
export const router = createRouter({
  // Plain text: a name may read like a number or a truth value. Of what is there twice the first counts, as for the session.
  parseSearch: (text) => Object.fromEntries([...new URLSearchParams(text)].reverse()),
  stringifySearch: (search) => {
    const given = Object.entries(search).filter(([, value]) => value !== undefined)
    const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString()
    return text === '' ? '' : `?${text}`
  },
  routeTree: root.addChildren([overview, runs, run, models, model, version, tracked, experiments, experiment]),
  defaultPreload: 'intent',
  defaultPendingComponent: Loading,
  defaultErrorComponent: Broken,
  defaultNotFoundComponent: NotFound,
})

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router
  }
}
