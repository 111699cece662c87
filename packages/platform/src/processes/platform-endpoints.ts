import { readFileSync } from 'node:fs'
import { health } from '@plimsoll/sdk/wire'
import {
  type AnyEndpoint,
  ERRORS_PATH,
  endpoint,
  openApiDocument,
  openApiShape,
  type Page,
  renderApiPage,
  renderErrorPage,
} from '../kernel/http/index.ts'
import type { Metrics } from '../kernel/telemetry/index.ts'

export const VERSION = (
  JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
).version // our own package.json

/** Made when it is first asked for: no start waits for it. */
function lazily<T>(make: () => T): () => T {
  let made: T | undefined
  return () => {
    made ??= make()
    return made
  }
}

function pageEndpoint(path: string, summary: string, pageOf: () => Page): AnyEndpoint {
  const page = lazily(pageOf)
  return endpoint({
    method: 'GET',
    path,
    scope: 'public',
    summary,
    response: 'text/html; charset=utf-8',
    handler: async ({ reply }) =>
      reply.headers({ 'content-security-policy': page().contentSecurityPolicy }).serializer(String).send(page().html),
  })
}

/** Health, metrics and the description of the API. */
export function platformEndpoints(parts: {
  endpoints: readonly AnyEndpoint[]
  metrics: Metrics
  replayRate: number | undefined
}): AnyEndpoint[] {
  const document = lazily(() => openApiDocument([...own, ...parts.endpoints], { title: 'Plimsoll', version: VERSION }))
  const own: AnyEndpoint[] = [
    endpoint({
      method: 'GET',
      path: '/health',
      scope: 'public',
      summary: 'Whether the control plane answers',
      response: health,
      handler: async ({ ctx }) => ({
        status: 'ok' as const,
        version: VERSION,
        time: new Date(ctx.clock.nowMs()).toISOString(),
        replay_rate: parts.replayRate ?? null,
      }),
    }),
    endpoint({
      method: 'GET',
      path: '/metrics',
      scope: 'platform',
      summary: 'Metrics of the process, over all projects, in the Prometheus text format',
      response: 'text/plain; version=0.0.4; charset=utf-8',
      handler: async ({ reply }) => reply.serializer(String).send(await parts.metrics.text()),
    }),
    endpoint({
      method: 'GET',
      path: '/api/v1/openapi.json',
      scope: 'public',
      summary: 'This API as OpenAPI 3.1',
      response: openApiShape,
      handler: async () => document(),
    }),
    pageEndpoint('/api', 'This API as a page', () => renderApiPage(document())),
    pageEndpoint(ERRORS_PATH, 'Every error code, where the type of a problem leads', renderErrorPage),
  ]
  return own
}
