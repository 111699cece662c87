import { expect, test } from 'vitest'
import { PlimsollError } from './errors.ts'
import { type Logger, type LogLevel, openLog, silentLog } from './log.ts'
import { logLevel } from './log-level.ts'

/** A log that keeps its lines. */
function capture(level: LogLevel = 'debug') {
  const written: string[] = []
  const log = openLog({ level, name: 'test', destination: { write: (text) => written.push(text) } })
  return { log, text: () => written.join(''), lines: () => written.map((line) => JSON.parse(line)) }
}

/** One line of each level. */
function logEach(log: Logger): void {
  log.debug({}, 'debug')
  log.info({}, 'info')
  log.warn({}, 'warn')
  log.error({}, 'error')
}

test('openLog() writes one line of JSON per call, with level, time, name, process, fields and message', () => {
  const { log, text, lines } = capture()
  log.info({ run: 'run_1', rows: 3, nested: { on: true } }, 'a run\nhas "ended"')
  log.warn({}, 'twice')
  expect(text().split('\n')).toHaveLength(3)
  expect(text().endsWith('\n')).toBe(true)
  expect(lines()[0]).toEqual({
    level: 30,
    time: expect.any(Number),
    name: 'test',
    pid: process.pid,
    run: 'run_1',
    rows: 3,
    nested: { on: true },
    msg: 'a run\nhas "ended"',
  })
})

test.each([
  ['debug', ['debug', 'info', 'warn', 'error']],
  ['info', ['info', 'warn', 'error']],
  ['warn', ['warn', 'error']],
  ['error', ['error']],
  ['silent', []],
] as const)('openLog() at level %s writes %j', (level, expected) => {
  const { log, lines } = capture(level)
  logEach(log)
  logEach(log.child({ part: 'child' }))
  expect(lines().map((line) => line.msg)).toEqual([...expected, ...expected])
})

test('openLog() knows every level that can be set', () => {
  for (const level of logLevel.options) expect(() => capture(level)).not.toThrow()
})

test('child() adds its fields to every line, and its own children add theirs', () => {
  const { log, lines } = capture()
  log.child({ run: 'run_1' }).child({ step: 'fit' }).info({ attempt: 2 }, 'started')
  log.info({}, 'apart')
  expect(lines()[0]).toMatchObject({ run: 'run_1', step: 'fit', attempt: 2 })
  expect(lines()[1]).not.toHaveProperty('run')
})

test.each(['authorization', 'cookie', 'token', 'secret', 'secretAccessKey', 'privateKey', 'password'])(
  'openLog() shows no field named %s, nor one within two levels, nor of a child',
  (name) => {
    const { log, text, lines } = capture()
    log.info({ [name]: 'hunter2', kept: 'seen' }, 'top')
    log.info({ options: { [name]: 'hunter2' } }, 'below')
    log.info({ request: { headers: { [name]: 'hunter2', host: 'here' } } }, 'of a request')
    log.child({ [name]: 'hunter2' }).info({}, 'of a child')
    expect(text()).not.toContain('hunter2')
    expect(lines().map((line) => JSON.stringify(line).includes('[redacted]'))).toEqual([true, true, true, true])
    expect(lines()[0]).toMatchObject({ [name]: '[redacted]', kept: 'seen' })
    expect(lines()[2].request.headers).toEqual({ [name]: '[redacted]', host: 'here' })
  },
)

test('openLog() shows an error with its kind, its code, where it was thrown, and what caused it', () => {
  const { log, lines } = capture()
  const cause = new Error('connection reset')
  const error = new PlimsollError('unavailable', 'db.unavailable', 'The database does not answer', { tries: 3 }, cause)
  log.error({ err: error, requestId: 'req_1' }, 'a request failed')
  const [line] = lines()
  expect(lines()).toHaveLength(1)
  expect(line).toMatchObject({ level: 50, requestId: 'req_1', msg: 'a request failed' })
  expect(line.err).toMatchObject({ kind: 'unavailable', code: 'db.unavailable', details: { tries: 3 } })
  expect(line.err.message).toBe('The database does not answer: connection reset')
  expect(line.err.stack).toMatch(/log\.test\.ts[\s\S]*caused by: Error: connection reset/)
})

test('silentLog takes everything and writes nothing', () => {
  expect(() => logEach(silentLog.child({ run: 'run_1' }))).not.toThrow()
})
