import { z } from 'zod'
import type { AnyEndpoint } from './endpoint.ts'
import { escapeHtml, type Page, renderPage } from './page.ts'

interface Operation {
  operationId: string
  summary: string
  tags: string[]
  'x-scope': string
  parameters: object[]
  requestBody?: object
  responses: Record<string, object>
}

export interface OpenApiDocument {
  openapi: '3.1.0'
  info: { title: string; version: string }
  paths: Record<string, Record<string, Operation>>
  components: object
}

const PROBLEM = {
  type: 'object',
  required: ['type', 'title', 'status', 'detail', 'code'],
  properties: {
    type: { type: 'string' },
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string' },
    instance: { type: 'string' },
    code: { type: 'string' },
    errors: {
      type: 'array',
      items: { type: 'object', properties: { pointer: { type: 'string' }, detail: { type: 'string' } } },
    },
    action: { type: 'string' },
    retry_after_ms: { type: 'integer' },
  },
}

function jsonSchema(schema: z.ZodType, io: 'input' | 'output'): object {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, {
    io,
    unrepresentable: 'any',
    reused: 'inline',
    cycles: 'ref',
  })
  return rest
}

function parametersOf(schema: z.ZodType | undefined, place: 'path' | 'query'): object[] {
  if (schema === undefined) return []
  const { properties = {}, required = [] } = jsonSchema(schema, 'input') as {
    properties?: Record<string, object>
    required?: string[]
  } // parameters are objects
  return Object.entries(properties).map(([name, member]) => ({
    name,
    in: place,
    required: place === 'path' || required.includes(name),
    schema: member,
  }))
}

function operationOf(endpoint: AnyEndpoint): Operation {
  const parts = endpoint.path.split('/').filter((part) => part !== '' && part !== 'api' && part !== 'v1')
  const success = String(endpoint.status ?? (endpoint.response === undefined ? 204 : 200))
  const body =
    endpoint.bodyKind === 'stream'
      ? { 'application/octet-stream': {} }
      : endpoint.body
        ? { 'application/json': { schema: jsonSchema(endpoint.body as z.ZodType, 'input') } }
        : undefined
  return {
    operationId: `${endpoint.method.toLowerCase()}_${parts.join('_').replace(/[^a-zA-Z0-9_]/g, '')}`,
    summary: endpoint.summary,
    tags: [parts[0] ?? 'platform'],
    'x-scope': endpoint.scope,
    parameters: [
      ...parametersOf(endpoint.params as z.ZodType | undefined, 'path'),
      ...parametersOf(endpoint.query as z.ZodType | undefined, 'query'),
    ],
    ...(body ? { requestBody: { required: true, content: body } } : {}),
    responses: {
      [success]: {
        description: 'Success',
        ...(endpoint.response
          ? { content: { 'application/json': { schema: jsonSchema(endpoint.response, 'output') } } }
          : {}),
      },
      default: {
        description: 'A problem',
        content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
      },
    },
  }
}

/** OpenAPI 3.1 of the endpoints: their schemas are the contract, so this cannot drift from it. */
export function openApiDocument(
  endpoints: readonly AnyEndpoint[],
  info: { title: string; version: string },
): OpenApiDocument {
  const paths: OpenApiDocument['paths'] = {}
  for (const endpoint of endpoints) {
    const path = endpoint.path.replace(/:([a-zA-Z0-9_]+)/g, '{$1}').replace('*', '{rest}')
    const operations = paths[path] ?? {}
    operations[endpoint.method.toLowerCase()] = operationOf(endpoint)
    paths[path] = operations
  }
  return {
    openapi: '3.1.0',
    info,
    paths,
    components: { schemas: { Problem: PROBLEM }, securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
  }
}

/** The same as one readable page without scripts or outside assets; its style is allowed by hash. */
export function renderApiPage(document: OpenApiDocument): Page {
  const byTag = new Map<string, string[]>()
  for (const [path, operations] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      const tag = operation.tags[0]!
      const contract = JSON.stringify(
        { parameters: operation.parameters, requestBody: operation.requestBody, responses: operation.responses },
        null,
        2,
      )
      const entry = `<details><summary><span class="m">${method.toUpperCase()}</span> <code>${escapeHtml(path)}</code> — ${escapeHtml(operation.summary)}<span class="s">${escapeHtml(operation['x-scope'])}</span></summary><pre>${escapeHtml(contract)}</pre></details>`
      byTag.set(tag, [...(byTag.get(tag) ?? []), entry])
    }
  }
  const sections = [...byTag]
    .map(([tag, entries]) => `<section><h2>${escapeHtml(tag)}</h2>${entries.join('')}</section>`)
    .join('')
  const intro = `<p>Every operation with the role it asks for. The project comes from the header <code>X-Plimsoll-Project</code>. The same as data: <a href="/api/v1/openapi.json">OpenAPI 3.1</a>.</p>`
  return renderPage(
    `${document.info.title} API`,
    `<h1>${escapeHtml(document.info.title)} ${escapeHtml(document.info.version)}</h1>${intro}${sections}`,
  )
}
