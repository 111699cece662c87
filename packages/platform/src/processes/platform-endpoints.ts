import { readFileSync } from 'node:fs'
import { type AnyEndpoint, endpoint, openApiDocument, renderApiPage } from '../kernel/http/index.ts'
import type { Metrics } from '../kernel/telemetry/index.ts'

export const VERSION = (
  JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
).version // our own package.json

/** Health, metrics and the description of the API. */
export function platformEndpoints(parts: {
  endpoints: readonly AnyEndpoint[]
  metrics: Metrics
  replayRate: number | undefined
}): AnyEndpoint[] {
  const document = openApiDocument(parts.endpoints, { title: 'Plimsoll', version: VERSION })
  const page = renderApiPage(document)
  return [
    endpoint({
      method: 'GET',
      path: '/health',
      scope: 'public',
      summary: 'Whether the control plane answers',
      handler: async ({ ctx }) => ({
        status: 'ok',
        version: VERSION,
        time: new Date(ctx.clock.nowMs()).toISOString(),
        replay_rate: parts.replayRate ?? null,
      }),
    }),
    endpoint({
      method: 'GET',
      path: '/metrics',
      scope: 'viewer',
      summary: 'Metrics in the Prometheus text format',
      handler: async ({ reply }) =>
        reply
          .type('text/plain; version=0.0.4; charset=utf-8')
          .serializer(String)
          .send(await parts.metrics.text()),
    }),
    endpoint({
      method: 'GET',
      path: '/api/v1/openapi.json',
      scope: 'public',
      summary: 'This API as OpenAPI 3.1',
      handler: async () => document,
    }),
    endpoint({
      method: 'GET',
      path: '/api',
      scope: 'public',
      summary: 'This API as a page',
      handler: async ({ reply }) =>
        reply
          .headers({ 'content-security-policy': page.contentSecurityPolicy })
          .type('text/html; charset=utf-8')
          .serializer(String)
          .send(page.html),
    }),
  ]
}
