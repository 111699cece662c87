import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { HIDES_NOTHING } from '../kernel/redaction.ts'
import { failureReason } from './failure-reason.ts'

const folder = mkdtempSync(join(tmpdir(), 'plimsoll-reason-'))
afterAll(() => rmSync(folder, { recursive: true }))

const FAULT = 'datasets.schema_mismatch: Cannot read dataset "rows": 5 columns differ from its schema'
const places = (count: number) =>
  Array.from({ length: count }, (_, index) => `  /schema/c${index} is missing\n`).join('')
const MISSING =
  'Traceback (most recent call last):\n  File "/w/fit.py", line 1, in <module>\n    import x\nModuleNotFoundError: No module named \'x\'\n'
const HINT = "(the step has no lock and ran on the machine's own interpreter: a lock with the package gives it one)"

test.each([
  [
    'a fault that a kind of ours names, alone',
    'dataset-version',
    78,
    `{"level":30}\n${FAULT}\n${places(1)}`,
    `${FAULT}\n  /schema/c0 is missing`,
  ],
  [
    'its message, its first places and its end, where it is long',
    'dataset-version',
    78,
    `${FAULT}\n${places(80)}Do that\n`,
    `${FAULT}\n${places(7)}…\nDo that`,
  ],
  ['the exit code of a kind of ours that names no fault', 'register', 78, 'a\n', 'It ended:\na'],
  ['the exit code of a kind of ours that broke', 'register', 1, `${FAULT}\n`, `It ended:\n${FAULT}`],
  ['the exit code of a program', 'command', 78, `${FAULT}\n`, `It ended:\n${FAULT}`],
  [
    'a module that a step without a lock lacks',
    'python',
    1,
    MISSING,
    `It ended:\nModuleNotFoundError: No module named 'x' ${HINT}`,
  ],
] as const)('failureReason() tells %s', async (_title, kind, exitCode, log, told) => {
  writeFileSync(join(folder, 'log'), log)
  expect(await failureReason({ kind, params: {} }, { exitCode, message: 'It ended' }, folder, HIDES_NOTHING)).toBe(told)
})

test('failureReason() speaks of no lock where there is one, and shows nothing of a log that it cannot hide secrets in', async () => {
  writeFileSync(join(folder, 'log'), MISSING)
  const step = { kind: 'python', params: { lock: 'a.lock' } }
  const reasonOf = (redactor?: typeof HIDES_NOTHING) =>
    failureReason(step, { exitCode: 1, message: 'It ended' }, folder, redactor)
  expect(await reasonOf(HIDES_NOTHING)).toBe("It ended:\nModuleNotFoundError: No module named 'x'")
  writeFileSync(join(folder, 'log'), `${FAULT}\n`)
  const shown = await failureReason(
    { kind: 'register', params: {} },
    { exitCode: 78, message: 'It ended' },
    folder,
    undefined,
  )
  expect(shown).toMatch(/^It ended: its log is withheld/)
})
