import { z } from 'zod'
import { type Answer, type AnyEndpoint, isMediaType, successStatus } from './endpoint.ts'

export interface Operation {
  operationId: string
  summary: string
  tags: string[]
  'x-scope': string
  security: object[]
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

/** As an answer: what it holds is told by the schema of OpenAPI. */
export const openApiShape = z.looseObject({ openapi: z.literal('3.1.0') })

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

const TOKEN = {
  type: 'http',
  scheme: 'bearer',
  description:
    'A token of a person, a program or a run. On loopback, unless the server asks for tokens, it may be left out where the scope is `viewer`, `editor`, `run` or `platform`.',
}

function jsonSchema(schema: z.ZodType, io: 'input' | 'output'): object {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, {
    io,
    unrepresentable: 'any',
    reused: 'inline',
    cycles: 'ref',
    // Of what is read, only what refuses an unknown member is closed: zod says so of all that leaves one out.
    override: ({ zodSchema, jsonSchema: described }) => {
      const { def } = zodSchema._zod
      if (io === 'output' && def.type === 'object' && !def.catchall) delete described.additionalProperties
    },
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

function successOf(response: Answer): object {
  if (response === 'nothing') return { description: 'Success, without a body' }
  const content = isMediaType(response)
    ? // Bytes and text as they are: 3.1 describes them by their type alone.
      { [response]: {} }
    : { 'application/json': { schema: jsonSchema(response, 'output') } }
  return { description: 'Success', content }
}

/** Of what stands alone under its path: the section where one looks for it. */
const SECTIONS: Readonly<Record<string, string>> = {
  docs: 'platform',
  health: 'platform',
  metrics: 'platform',
  'openapi.json': 'platform',
  whoami: 'tokens',
}

function sectionOf(part = 'platform'): string {
  return SECTIONS[part] ?? part
}

function operationOf(endpoint: AnyEndpoint): Operation {
  const parts = endpoint.path.split('/').filter((part) => part !== '' && part !== 'v1' && part !== 'api')
  const body =
    endpoint.bodyKind === 'stream'
      ? { 'application/octet-stream': {} }
      : endpoint.body
        ? { 'application/json': { schema: jsonSchema(endpoint.body as z.ZodType, 'input') } }
        : undefined
  return {
    operationId: `${endpoint.method.toLowerCase()}_${parts.join('_').replace(/[^a-zA-Z0-9_]/g, '')}`,
    summary: endpoint.summary,
    tags: [sectionOf(parts[0])],
    'x-scope': endpoint.scope,
    security: endpoint.scope === 'public' ? [] : [{ token: [] }],
    parameters: [
      ...parametersOf(endpoint.params as z.ZodType | undefined, 'path'),
      ...parametersOf(endpoint.query as z.ZodType | undefined, 'query'),
    ],
    ...(body ? { requestBody: { required: true, content: body } } : {}),
    responses: {
      [String(successStatus(endpoint))]: successOf(endpoint.response),
      default: {
        description: 'A problem',
        content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
      },
    },
  }
}

/** Moves recursive schemas, which zod puts beside what refers to them, to where references of a document look: its components. */
function shareDefinitions(node: unknown, shared: Map<string, string>): unknown {
  if (Array.isArray(node)) return node.map((item) => shareDefinitions(item, shared))
  if (typeof node !== 'object' || node === null) return node
  const { $defs, ...rest } = node as { $defs?: Record<string, object> } // of JSON Schema
  if ($defs === undefined)
    return Object.fromEntries(Object.entries(rest).map(([name, inner]) => [name, shareDefinitions(inner, shared)]))
  let text = JSON.stringify(rest)
  for (const [name, definition] of Object.entries($defs)) {
    const ref = `"#/$defs/${name}"`
    const self = JSON.stringify(definition).replaceAll(ref, SELF)
    const known = shared.get(self) ?? `Recursive${shared.size + 1}`
    shared.set(self, known)
    text = text.replaceAll(ref, refTo(known))
  }
  return JSON.parse(text)
}

const SELF = '"#self"'
const refTo = (name: string) => `"#/components/schemas/${name}"`

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
  const shared = new Map<string, string>()
  const described = shareDefinitions(paths, shared) as typeof paths // the same, but for references
  const recursive = [...shared].map(([self, name]) => [name, JSON.parse(self.replaceAll(SELF, refTo(name)))])
  return {
    openapi: '3.1.0',
    info,
    paths: described,
    components: { schemas: { Problem: PROBLEM, ...Object.fromEntries(recursive) }, securitySchemes: { token: TOKEN } },
  }
}
