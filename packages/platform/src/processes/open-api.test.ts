import { Validator } from '@seriousme/openapi-schema-validator'
import { expect, test } from 'vitest'
import { auditEndpoints, authEndpoints } from '../kernel/auth/index.ts'
import { newSigningKey } from '../kernel/auth/verify/index.ts'
import { settings } from '../kernel/config/index.ts'
import { type AnyEndpoint, openApiDocument, renderApiPage } from '../kernel/http/index.ts'
import { openMetrics } from '../kernel/telemetry/index.ts'
import { openDomains } from './domains.ts'
import { platformEndpoints } from './platform-endpoints.ts'

function endpointsOf(): AnyEndpoint[] {
  const config = settings.parse({})
  const domains = openDomains({
    config,
    signingKey: newSigningKey(),
    replay: undefined,
    paths: { runs: '', environments: '' },
  } as Parameters<typeof openDomains>[0]) // only what endpoints declare is read
  const own = [...authEndpoints(config.auth), ...auditEndpoints('', []), ...domains.endpoints]
  return [...platformEndpoints({ endpoints: own, metrics: openMetrics('test'), replayRate: undefined }), ...own]
}

const endpoints = endpointsOf()
const document = openApiDocument(endpoints, { title: 'Plimsoll', version: '1' })
const operations = Object.values(document.paths).flatMap((methods) => Object.values(methods))

test('openApiDocument() of the control plane is OpenAPI 3.1, and its references lead somewhere', async () => {
  const plain = JSON.parse(JSON.stringify(document)) as Record<string, unknown>
  const validator = new Validator()
  expect(await validator.validate(plain)).toEqual({ valid: true })
  expect(() => validator.resolveRefs()).not.toThrow()
  expect(operations).toHaveLength(endpoints.length)
  expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(endpoints.length)
})

/** What the endpoint declares, told without the code that is tested. */
function declaredAnswer({ status, response }: AnyEndpoint): [string, string[]] {
  if (response === 'nothing') return [String(status ?? 204), []]
  return [String(status ?? 200), [typeof response === 'string' ? response : 'application/json']]
}

test.each(endpoints.map((endpoint) => [`${endpoint.method} ${endpoint.path}`, endpoint] as const))(
  'openApiDocument() says what %s answers, and who may ask',
  (_name, endpoint) => {
    const path = endpoint.path.replace(/:(\w+)/g, '{$1}').replace('*', '{rest}')
    const { responses, security } = document.paths[path]![endpoint.method.toLowerCase()]!
    const { default: _problem, ...success } = responses as Record<string, { content?: object }>
    const said = Object.entries(success).map(([status, { content = {} }]) => [status, Object.keys(content)])
    expect(said).toEqual([declaredAnswer(endpoint)])
    expect(security).toEqual(endpoint.scope === 'public' ? [] : [{ token: [] }])
  },
)

test('openApiDocument() tells bytes, text and pages by their type', () => {
  const contentOf = (path: string) =>
    Object.keys((document.paths[path]!.get!.responses[200] as { content: object }).content)
  expect(contentOf('/api/v1/blobs/{digest}')).toEqual(['application/octet-stream'])
  expect(contentOf('/api/v1/runs/{run}/steps/{step}/log')).toEqual(['text/plain; charset=utf-8'])
  expect(contentOf('/api/v1/feature-services/{name}/serving')).toEqual(['application/json'])
  expect(contentOf('/api/v1/pipelines/{pipeline}')).toEqual(['application/json'])
  expect(contentOf('/api')).toEqual(['text/html; charset=utf-8'])
})

test('openApiDocument() says that the secrets of a step are texts', () => {
  expect(JSON.stringify(document)).toMatch(
    /"secrets":\{[^{}]*(?:\{[^{}]*\}[^{}]*)*"additionalProperties":\{"type":"string"\}/,
  )
})

/** Places of a schema where members are named, and whether others are refused there. */
function placesOf(schema: unknown, place = ''): { place: string; isClosed: boolean }[] {
  if (typeof schema !== 'object' || schema === null) return []
  const inner = Object.entries(schema).flatMap(([name, part]) => placesOf(part, `${place}/${name}`))
  if (!('properties' in schema) || !('type' in schema)) return inner
  return [{ place, isClosed: 'additionalProperties' in schema && schema.additionalProperties === false }, ...inner]
}

test('what is sent may hold no member that is not known, at any depth; what is answered may: a newer server says more', () => {
  const bodies = operations.flatMap(({ operationId, requestBody }) => placesOf(requestBody, operationId))
  const answers = operations.flatMap(({ operationId, responses }) => placesOf(responses, operationId))
  expect(bodies.length).toBeGreaterThan(20)
  expect(answers.length).toBeGreaterThan(100)
  expect(bodies.filter(({ isClosed }) => !isClosed)).toEqual([])
  expect(answers.filter(({ isClosed }) => isClosed)).toEqual([])
})

test('renderApiPage() tells types in a few words, in sections that have names', () => {
  const { html: page } = renderApiPage(document)
  const html = page.slice(page.indexOf('<body'))
  const sections = [...html.matchAll(/<h2>([^<]*)</g)].map(([, name]) => name!)
  expect(sections.slice(0, 2)).toEqual(['platform', 'tokens'])
  expect(sections.filter((name) => !/^[a-z ]+$/.test(name))).toEqual(['Named types'])
  expect(html).not.toMatch(/\$ref|"type"|\(\?:/)
  for (const said of [
    'string date-time',
    'integer ≥ 0',
    '"queued" | "running"',
    '1–1024 characters',
    'array of object',
  ])
    expect(html.replaceAll('&quot;', '"')).toContain(said)
  expect(
    html
      .replaceAll(/<[^>]*>/g, ' ')
      .split(/\s+/)
      .filter((word) => word.length > 120),
  ).toEqual([])
})
