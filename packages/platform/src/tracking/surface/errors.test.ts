import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ERROR_KINDS, type ErrorKind, PlimsollError } from '../../kernel/errors.ts'
import { type Answer, openTestSurface, type TestSurface } from '../tracking.fixture.ts'
import { mlflowEndpoint } from './endpoint.ts'
import { renderError } from './errors.ts'

/** Status, code and default `Retry-After` (seconds) of each kind, as clients of MLflow know them. */
const RENDERED: Readonly<Record<ErrorKind, readonly [number, string, string | undefined]>> = {
  invalid: [400, 'INVALID_PARAMETER_VALUE', undefined],
  unauthenticated: [401, 'UNAUTHENTICATED', undefined],
  forbidden: [403, 'PERMISSION_DENIED', undefined],
  not_found: [404, 'RESOURCE_DOES_NOT_EXIST', undefined],
  method: [405, 'BAD_REQUEST', undefined],
  conflict: [409, 'RESOURCE_CONFLICT', undefined],
  precondition: [400, 'INVALID_PARAMETER_VALUE', undefined],
  exhausted: [429, 'RESOURCE_EXHAUSTED', '1'],
  full: [429, 'RESOURCE_EXHAUSTED', '1'],
  too_large: [400, 'INVALID_PARAMETER_VALUE', undefined],
  overloaded: [429, 'REQUEST_LIMIT_EXCEEDED', '1'],
  deadline: [504, 'DEADLINE_EXCEEDED', undefined],
  unsupported: [501, 'NOT_IMPLEMENTED', undefined],
  media_type: [400, 'INVALID_PARAMETER_VALUE', undefined],
  unavailable: [503, 'TEMPORARILY_UNAVAILABLE', '1'],
  internal: [500, 'INTERNAL_ERROR', undefined],
}
const KINDS = Object.keys(ERROR_KINDS) as ErrorKind[]
/** Statuses that a client of MLflow sends again, for minutes: no deterministic refusal may have one. */
const RETRIED = new Set([408, 429, 500, 502, 503, 504])

const secret = (kind: ErrorKind, details = {}) =>
  new PlimsollError(kind, 'tracking.planted', 'Cannot say: "x"', details)

describe.each(KINDS)('renderError() of %s', (kind) => {
  const [status, code, retryAfter] = RENDERED[kind]

  test('has the status and the code that clients know, and shows no text of an internal fault', () => {
    const reply = renderError(secret(kind), 'req_1')
    const message = kind === 'internal' ? 'Internal error, request req_1' : 'Cannot say: "x"'
    expect(reply.status).toBe(status)
    expect(JSON.parse(reply.body)).toEqual({ error_code: code, message })
    expect(reply.headers['retry-after']).toBe(retryAfter)
  })

  test('is sent again by clients only where the same request may succeed later', () => {
    if (kind !== 'internal') expect(RETRIED.has(status)).toBe(ERROR_KINDS[kind].retry)
  })

  test('carries the wait that the error names, in whole seconds and never a shorter one', () => {
    expect(renderError(secret(kind, { retryAfterMs: 2_001 }), 'req_1').headers['retry-after']).toBe('3')
  })
})

test.each([
  ['tracking.experiment_exists', 'conflict', 400, 'RESOURCE_ALREADY_EXISTS'],
  ['tracking.run_exists', 'conflict', 400, 'RESOURCE_ALREADY_EXISTS'],
  ['registry.model_exists', 'conflict', 400, 'RESOURCE_ALREADY_EXISTS'],
  ['registry.alias_not_found', 'not_found', 400, 'INVALID_PARAMETER_VALUE'],
  ['registry.source_not_remote', 'internal', 500, 'INTERNAL_ERROR'],
  ['tracking.method', 'method', 405, 'BAD_REQUEST'],
  ['tracking.read_only', 'forbidden', 403, 'PERMISSION_DENIED'],
] as const)('renderError() of %s is the one that clients expect, with its text', (code, kind, status, name) => {
  const reply = renderError(new PlimsollError(kind, code, 'The text'), 'req_1')
  expect([reply.status, JSON.parse(reply.body)]).toEqual([status, { error_code: name, message: 'The text' }])
})

describe('over HTTP', () => {
  let surface: TestSurface
  let failure: unknown
  beforeAll(async () => {
    surface = await openTestSurface(() => [
      mlflowEndpoint({
        method: 'GET',
        path: '/mlflow/planted',
        access: 'read',
        fields: {},
        handler: () => Promise.reject(failure),
      }),
    ])
  })
  afterAll(() => surface.close())

  const fail = (thrown: unknown): Promise<Answer> => {
    failure = thrown
    return surface.call('GET', '/planted')
  }

  test.each(KINDS)('an error of kind %s arrives as JSON with its status and its wait', async (kind) => {
    const [status, code, retryAfter] = RENDERED[kind]
    const answer = await fail(secret(kind))
    expect([answer.status, answer.json.error_code]).toEqual([status, code])
    expect(answer.headers.get('content-type')).toMatch(/^application\/json/)
    expect(answer.headers.get('retry-after')).toBe(retryAfter ?? null)
  })

  test.each([
    new TypeError('the password is hunter2'),
    'the password is hunter2',
    new PlimsollError('internal', 'db.broken', 'the password is hunter2', {}, new Error('hunter2')),
  ])('what is thrown by mistake (%s) shows the id of the request and nothing else', async (thrown) => {
    const answer = await fail(thrown)
    expect(answer.status).toBe(500)
    expect(answer.text).not.toContain('hunter2')
    expect(answer.json).toEqual({
      error_code: 'INTERNAL_ERROR',
      message: expect.stringMatching(/^Internal error, request \S+$/),
    })
  })
})
