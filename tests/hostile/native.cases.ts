import { gzipSync } from 'node:zlib'
import {
  BAD_PARAMETERS,
  type Expectation,
  type HostileCase,
  type HostileInput,
  json,
  POLLUTION,
  rawJson,
} from './case.ts'
import { exampleOf, leavesOf, type Schema } from './schema-example.ts'

interface Operation {
  'x-scope': string
  parameters: { name: string; in: 'path' | 'query'; required: boolean; schema: Schema }[]
  requestBody?: { content: Record<string, { schema?: Schema }> }
}
export interface OpenApi {
  paths: Record<string, Record<string, Operation>>
}

interface Route {
  readonly method: string
  readonly path: string
  readonly operation: Operation
  /** A target that fits the contract, with one path parameter replaced when asked. */
  target(change?: Record<string, string>): string
  readonly body: Schema | undefined
  readonly isStream: boolean
}

/** These say well done to a name that nobody has. */
const FORGIVING = new Set([
  'GET /api/v1/runs/{run}/finished',
  'DELETE /api/v1/models/{model}/aliases/{alias}',
  'PUT /api/v1/grants/{principal}',
  'DELETE /api/v1/grants/{principal}',
  'PUT /api/v1/models/{model}/aliases/{alias}',
])
/** What plan and apply take is a surface of its own. */
const ELSEWHERE = new Set(['/api/v1/plan', '/api/v1/apply'])
const REFUSED: Expectation = { status: [400, 403, 404, 409, 412, 413] }
const INVALID: Expectation = { status: 400, code: 'http.invalid_request' }
const HANDLED: Expectation = { status: [200, 201, 204, 400, 403, 404, 409, 412, 413, 416] }

function routesOf(document: OpenApi, samples: Readonly<Record<string, string>>): Route[] {
  return Object.entries(document.paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]) => {
      const content = operation.requestBody?.content ?? {}
      return {
        method: method.toUpperCase(),
        path,
        operation,
        target: (change = {}) =>
          path.replace(/\{(\w+)\}/g, (_all, name: string) => change[name] ?? samples[name] ?? '1'),
        body: content['application/json']?.schema,
        isStream: content['application/octet-stream'] !== undefined,
      }
    }),
  )
}

function callerCases(route: Route): HostileCase[] {
  const ask = (name: string, headers: string[], expect: Expectation): HostileCase => ({
    name,
    input: { method: route.method, target: route.target(), headers },
    expect,
  })
  const isOpen = route.operation['x-scope'] === 'public'
  const cases = [
    ask('another Host', ['host: evil.example'], { status: 403, code: 'http.host' }),
    ask('Origin null', ['origin: null'], { status: 403, code: 'http.origin' }),
    ask('a page of another site', ['sec-fetch-site: cross-site'], { status: 403, code: 'http.cross_site' }),
    ask('two tokens', ['authorization: Bearer a', 'authorization: Bearer b'], {
      status: 400,
      code: 'http.duplicate_header',
    }),
    ask('a form', ['content-type: multipart/form-data', 'content-length: 0'], { status: 415, code: 'http.form' }),
    {
      name: 'a method that it has not',
      input: { method: 'TRACE', target: route.target() },
      expect: { status: 405, code: 'http.method' },
    },
    {
      name: 'the absolute form',
      input: { method: route.method, target: `http://evil.example${route.target()}` },
      expect: { status: 400, code: 'http.absolute_form' },
    },
  ]
  if (isOpen) return cases
  return [
    ...cases,
    ask('a project that is no name', ['x-plimsoll-project: ../x'], { status: 400, code: 'auth.bad_project' }),
    ask('a project that is not there', ['x-plimsoll-project: nowhere'], {
      status: 404,
      code: 'auth.project_not_found',
    }),
    ask('a damaged token', ['authorization: Bearer plim_x'], { status: 401, code: 'auth.token_malformed' }),
    ask('a token of 12,000 characters', [`authorization: Bearer plim_${'x'.repeat(12_000)}`], { status: 401 }),
  ]
}

function parameterCases(route: Route): HostileCase[] {
  const inPath = route.operation.parameters.filter((parameter) => parameter.in === 'path')
  const inQuery = route.operation.parameters.filter((parameter) => parameter.in === 'query')
  const body = route.body ? json(exampleOf(route.body)) : route.isStream ? { body: '' } : {}
  const isForgiving = FORGIVING.has(`${route.method} ${route.path}`)
  const path = inPath.flatMap(({ name }) =>
    BAD_PARAMETERS.map(([what, text, expect]) => ({
      name: `${name} is ${what}`,
      input: { method: route.method, target: route.target({ [name]: text }), ...body },
      expect: expect.code === undefined && isForgiving ? HANDLED : expect,
    })),
  )
  const asked = (name: string, query: string, expect: Expectation): HostileCase => ({
    name,
    input: { method: route.method, target: `${route.target()}?${query}`, ...body },
    expect,
  })
  const query = inQuery.flatMap(({ name, schema }) => [
    asked(`?${name} twice`, `${name}=1&${name}=2`, INVALID),
    asked(`?${name} holds a NUL`, `${name}=a%00b`, INVALID),
    asked(`?${name} cannot be decoded`, `${name}=%zz`, HANDLED),
    asked(`?${name} is half a surrogate pair`, `${name}=%ed%a0%80`, HANDLED),
    asked(`?${name} has 9,000 characters`, `${name}=${'a'.repeat(9_000)}`, INVALID),
    asked(`?${name} is SQL`, `${name}=${encodeURIComponent("' or 1=1--")}`, HANDLED),
    asked(`?${name} is a member of the prototype`, `${name}[__proto__][x]=1`, INVALID),
    ...(schema.type === 'integer'
      ? ['-5', '1.5', '1e999', 'NaN', '0x10', '99999999999999999999', '']
          .map((text) => asked(`?${name}=${text}`, `${name}=${text}`, { status: [200, 400, 404] }))
          .concat([
            asked(`?${name} is beyond int32`, `${name}=2147483648`, { status: [200, 400, 404] }),
            asked(`?${name} is the largest exact integer`, `${name}=9007199254740991`, { status: [200, 400, 404] }),
          ])
      : []),
  ])
  // Who may not look at all projects may be told that first.
  const unknown = route.operation['x-scope'] === 'platform' ? { status: [400, 403] } : INVALID
  return [...path, ...query, asked('an unknown query parameter', 'zz=1', unknown)]
}

function bodyCases(route: Route, schema: Schema): HostileCase[] {
  const good = JSON.stringify(exampleOf(schema))
  const send = (name: string, parts: Partial<HostileInput>, expect: Expectation): HostileCase => ({
    name,
    input: { method: route.method, target: route.target(), ...parts },
    expect,
  })
  const typed = (type: string, ...more: string[]) => ({
    headers: [type, ...more].filter((line) => line !== ''),
    body: good,
  })
  const jsonType = 'content-type: application/json'
  return [
    send('no body', { headers: [jsonType, 'content-length: 0'] }, { status: 400, code: 'http.body_empty' }),
    ...['[]', '"x"', '5', 'null', 'true', '{}x', '{"a":', '{"a":NaN}', "{'a':1}"].map((text) =>
      send(`the body ${text}`, rawJson(text), { status: 400, code: ['http.invalid_request', 'http.bad_json'] }),
    ),
    send('an unknown member', rawJson(good.replace(/^\{/, good === '{}' ? '{"zz":1' : '{"zz":1,')), INVALID),
    send('__proto__', rawJson(`{"__proto__":${POLLUTION}}`), { status: 400, code: 'http.bad_json' }),
    send('__proto__ in an escape', rawJson(`{"\\u005f_proto__":${POLLUTION}}`), { status: 400, code: 'http.bad_json' }),
    send('constructor.prototype', rawJson(`{"constructor":{"prototype":${POLLUTION}}}`), {
      status: 400,
      code: 'http.bad_json',
    }),
    send('65 levels', rawJson(`${'['.repeat(65)}${']'.repeat(65)}`), { status: 400, code: 'http.json_too_deep' }),
    send('half a million brackets', rawJson('['.repeat(500_000)), { status: 400, code: 'http.json_too_deep' }),
    send(
      'bytes that are no UTF-8',
      { headers: [jsonType], body: Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d]) },
      { status: 400, code: 'http.bad_utf8' },
    ),
    send(
      'a body that is too large',
      { headers: [jsonType, `content-length: ${2 ** 40}`], body: '{' },
      { status: 413, code: 'http.body_too_large' },
    ),
    send('no type', typed(''), { status: 415, code: 'http.media_type' }),
    send('XML', typed('content-type: application/xml'), { status: 415, code: 'http.media_type' }),
    send('a form of JSON', typed('content-type: text/plain'), { status: 415, code: ['http.form', 'http.media_type'] }),
    send('a multipart form', typed('content-type: multipart/form-data; boundary=x'), {
      status: 415,
      code: 'http.form',
    }),
    send(
      'a gzip bomb',
      { headers: [jsonType, 'content-encoding: gzip'], body: BOMB },
      { status: 413, code: 'http.body_too_large' },
    ),
    send(
      'brotli',
      { headers: [jsonType, 'content-encoding: br'], body: good },
      { status: 415, code: 'http.content_encoding' },
    ),
    send(
      'gzip twice',
      { headers: [jsonType, 'content-encoding: gzip, gzip'], body: good },
      { status: 415, code: 'http.content_encoding' },
    ),
    send(
      'no gzip under its name',
      { headers: [jsonType, 'content-encoding: gzip'], body: good },
      { status: 400, code: 'http.bad_encoding' },
    ),
    send(
      'two lengths',
      { headers: [jsonType, 'content-length: 2', 'content-length: 3'], body: '{} ' },
      { status: 400, code: 'http.bad_request' },
    ),
    send(
      'a negative length',
      { headers: [jsonType, 'content-length: -1'], body: '{}' },
      { status: 400, code: 'http.bad_request' },
    ),
    send(
      'a length and chunks',
      { headers: [jsonType, 'content-length: 2', 'transfer-encoding: chunked'], body: '2\r\n{}\r\n0\r\n\r\n' },
      { status: 400, code: 'http.bad_request' },
    ),
  ]
}

const BOMB = gzipSync(Buffer.alloc(64 << 20, 0x20))

/** Every place of a body that fits the contract, with one thing put there that does not. */
function leafCases(route: Route, schema: Schema): HostileCase[] {
  return leavesOf(schema).flatMap(({ pointer, text, expect }) => ({
    name: `${pointer} is ${text.name}`,
    input: { method: route.method, target: route.target(), ...rawJson(text.json) },
    expect: expect === 'invalid' ? INVALID : expect === 'refused' ? REFUSED : HANDLED,
  }))
}

/** Cases for every operation that the server says it has. `samples` are values of path parameters that exist. */
export function nativeCases(document: OpenApi, samples: Readonly<Record<string, string>>): HostileCase[] {
  return routesOf(document, samples)
    .filter((route) => !ELSEWHERE.has(route.path))
    .flatMap((route) =>
      [
        ...callerCases(route),
        ...parameterCases(route),
        ...(route.body === undefined ? [] : [...bodyCases(route, route.body), ...leafCases(route, route.body)]),
      ].map((one) => ({ ...one, name: `${route.method} ${route.path}: ${one.name}` })),
    )
}
