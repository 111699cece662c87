import {
  createRootRoute,
  createRoute,
  createRouter,
  type ErrorComponentProps,
  lazyRouteComponent,
} from '@tanstack/react-router'
import { Loading, Problem } from './parts/answer.tsx'
import { NotFound } from './rooms/not-found.tsx'
import { Shell } from './shell/shell.tsx'

function Broken({ error, reset }: ErrorComponentProps) {
  return <Problem error={error instanceof Error ? error : new Error(String(error))} retry={reset} />
}

const root = createRootRoute({ component: Shell, notFoundComponent: NotFound })
const overview = createRoute({
  getParentRoute: () => root,
  path: '/',
  component: lazyRouteComponent(() => import('./rooms/overview/overview.tsx'), 'Overview'),
})
const runs = createRoute({
  getParentRoute: () => root,
  path: '/runs',
  component: lazyRouteComponent(() => import('./rooms/run/runs.tsx'), 'Runs'),
})
const run = createRoute({
  getParentRoute: () => root,
  path: '/runs/$run',
  validateSearch: (search: Record<string, unknown>): { step?: string } =>
    typeof search.step === 'string' ? { step: search.step } : {},
  component: lazyRouteComponent(() => import('./rooms/run/run.tsx'), 'Run'),
})
const models = createRoute({
  getParentRoute: () => root,
  path: '/models',
  component: lazyRouteComponent(() => import('./rooms/model/models.tsx'), 'Models'),
})
const model = createRoute({
  getParentRoute: () => root,
  path: '/models/$model',
  component: lazyRouteComponent(() => import('./rooms/model/models.tsx'), 'Versions'),
})
const version = createRoute({
  getParentRoute: () => root,
  path: '/models/$model/versions/$version',
  component: lazyRouteComponent(() => import('./rooms/model/model-version.tsx'), 'ModelVersion'),
})

/** One lazy chunk per room. */
export const router = createRouter({
  routeTree: root.addChildren([overview, runs, run, models, model, version]),
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
