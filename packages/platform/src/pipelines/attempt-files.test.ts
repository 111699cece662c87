import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { openFilesBlobStore } from '../adapters/files/index.ts'
import { HIDES_NOTHING, openRedactor } from '../kernel/redaction.ts'
import { faultText, lastLines, readProgress, shipLog } from './attempt-files.ts'
import { readHidden } from './redacted-file.ts'
import { readBlobText } from './work-files.ts'

const folder = mkdtempSync(join(tmpdir(), 'plimsoll-log-'))
afterAll(() => rmSync(folder, { recursive: true }))

const TRACEBACK = `epoch 1
Traceback (most recent call last):
  File "/w/code/fit.py", line 9, in <module>
    main()
    ~~~~^^
  File "/w/code/fit.py", line 5, in main
    model = train(read(step.input("rows").path), trees=step.params["trees"])
                  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
`

const OWN = '    at deep (file:///w/code/fit.mjs:3:9)'
const INNER = '    at ModuleJob.run (node:internal/modules/esm/module_job:569:25)'
const nodeLog = (message: string, trace: string, place = 'node:internal/fs:3') =>
  `epoch 1\n${place}\n  throw x\n        ^\n\n${message}\n${trace}\n\nNode.js v26.10.0\n`
const OWN_PLACE = 'file:///w/code/fit.mjs:3'
const UNREAD_TYPESCRIPT = `node:internal/modules/run_main:111
    triggerUncaughtException(
    ^

${OWN_PLACE}
const a: number = 1
const b = = 2
          ^

SyntaxError [ERR_INVALID_TYPESCRIPT_SYNTAX]: Expression expected
    at parseTypeScript (node:internal/modules/typescript:61:36)
    at afterResolve (node:internal/modules/esm/loader:614:52) {
  code: 'ERR_INVALID_TYPESCRIPT_SYNTAX'
}

Node.js v26.10.0
`
const PARSED = '    at JSON.parse (<anonymous>)'

test.each([
  ['nothing', ' \n\n', ''],
  ['five lines, indented as they were', '1\n2\n  3\n4\n5\n6\n', ':\n2\n  3\n4\n5\n6'],
  ['the exception', `${TRACEBACK}KeyError: 'rows'\n`, ":\nKeyError: 'rows'"],
  [
    'the last exception',
    `${TRACEBACK}KeyError: 'a'\n\nDuring handling of the above exception, another exception occurred:\n\n${TRACEBACK}OSError: b\n`,
    ':\nOSError: b',
  ],
  [
    'a syntax error, and where',
    `${TRACEBACK}  File "/w/code/fit.py", line 1\n    x = = 1\n        ^\nSyntaxError: bad\n`,
    ':\nSyntaxError: bad (fit.py, line 1)',
  ],
  [
    'a message that points at a word',
    `${TRACEBACK}ParserException: near "x"\n\nLINE 1: x\n        ^\n`,
    ':\nParserException: near "x"\n\nLINE 1: x\n        ^',
  ],
  ['the name and the end of a long one', `${TRACEBACK}E: 1\n 2\n 3\n 4\n 5\n 6\n`, ':\nE: 1\n…\n 4\n 5\n 6'],
  ['what follows a trace that was printed', `${TRACEBACK}E: 1\na\nb\nc\nno disk\n`, ':\nE: 1\na\nb\nc\nno disk'],
  ['a trace cut off in its frames', TRACEBACK, `:\n${TRACEBACK.trimEnd().split('\n').slice(-5).join('\n')}`],
  ['an exception of Node, and where', nodeLog('RangeError: deep', OWN), `:\nRangeError: deep\n${OWN}`],
  [
    'a place in its message',
    nodeLog('Error: cannot parse:\n<html>:1', OWN),
    `:\nError: cannot parse:\n<html>:1\n${OWN}`,
  ],
  [
    'a place, its source and a caret in its message',
    nodeLog('Error: cannot parse:\n/tmp/x.js:3\nfoo bar\n    ^\nbad', OWN),
    `:\nError: cannot parse:\n…\n    ^\nbad\n${OWN}`,
  ],
  [
    'such a place with an empty line below',
    nodeLog('Error: boom\n/tmp/x.js:3\nfoo\n   ^\n\nbad', OWN),
    `:\nError: boom\n…\n\nbad\n${OWN}`,
  ],
  [
    'the failure of another Node in its message',
    nodeLog(`Error: Command failed: node x.js\n${nodeLog('E: in', OWN).trim()}`, OWN),
    `:\nError: Command failed: node x.js\n…\n\nE: in\n${OWN}`,
  ],
  [
    'the failure of another Node in its message, which had printed its trace before',
    nodeLog(`Error: failed: ${OWN.trim()}\n${OWN}\n${nodeLog('E: in', OWN).trim()}`, OWN),
    `:\nError: failed: ${OWN.trim()}\n${OWN}`,
  ],
  [
    'its own exception below that of a program which it started',
    `${nodeLog('E: of the other', OWN)}${nodeLog('Error: own', OWN)}`,
    `:\nError: own\n${OWN}`,
  ],
  [
    'its own exception below one that was caught and printed',
    `file:///w/code/bad.cjs:1\nfoo bar\n    ^^^\n\nSyntaxError: bad\n${INNER}\n${nodeLog('Error: own', OWN)}`,
    `:\nError: own\n${OWN}`,
  ],
  ['its lines', nodeLog('Error: a\nb\n\nc', `${INNER} {\n  code: 'X'\n}`), ':\nError: a\nb\n\nc'],
  ['its name and its end', nodeLog('E: 1\n 2\n 3\n 4\n 5\n 6', INNER), ':\nE: 1\n…\n 4\n 5\n 6'],
  [
    'no cause in its place',
    nodeLog('Error: out', `${OWN} {\n  [cause]: Error: in\n      at g (x:1:1)\n}`),
    `:\nError: out\n${OWN}`,
  ],
  [
    'a cause without a trace around it',
    nodeLog('[TypeError: out] {', '  [cause]: Error: in\n      at g (x:1:1)\n}'),
    ':\n[TypeError: out] {\n  [cause]: Error: in\n}',
  ],
  [
    'a thrown text, and where',
    nodeLog('text', '(Use `node --trace-uncaught ...` to show where', OWN_PLACE),
    `:\ntext\n    at ${OWN_PLACE}`,
  ],
  [
    'a fault in JSON, and where it was read',
    nodeLog('SyntaxError: bad', `${PARSED}\n${OWN}\n${INNER}`, '<anonymous_script>:1'),
    `:\nSyntaxError: bad\n${OWN}`,
  ],
  [
    'a fault in JSON of one long line',
    nodeLog('SyntaxError: bad', `${PARSED}\n${OWN}\n${INNER}`, '<anonymous_script>:1').replace(
      '  throw x\n        ^',
      `${'1, '.repeat(9_000)}\n${' '.repeat(1_020)}`,
    ),
    `:\nSyntaxError: bad\n${OWN}`,
  ],
  [
    'a syntax error in TypeScript, and where',
    UNREAD_TYPESCRIPT,
    `:\nSyntaxError [ERR_INVALID_TYPESCRIPT_SYNTAX]: Expression expected\n    at ${OWN_PLACE}`,
  ],
  ['an exception of Node with a long trace', nodeLog('E: 1', `${INNER}\n`.repeat(50).trimEnd()), ':\nE: 1'],
])('lastLines() tells of a log: %s', async (_title, log, told) => {
  writeFileSync(join(folder, 'log'), log)
  expect(await lastLines(folder, HIDES_NOTHING)).toBe(told)
})

const VALUE = 'cänary'
const STARS = '*'.repeat(7)
const redactor = openRedactor([VALUE])

test('faultText() hides a value, and gives what a database can hold', () => {
  expect(faultText(`names "${VALUE}\0"`, redactor)).toBe(`names "${STARS}\ufffd"`)
})

test('shipLog() hides a value wherever it lies, also where the log is cut, and keeps the places of the rest', async () => {
  const blobs = await openFilesBlobStore(join(folder, 'blobs'))
  const ship = async (log: string, limitBytes: number) => {
    writeFileSync(join(folder, 'log'), log)
    return readBlobText(blobs, (await shipLog(blobs, folder, limitBytes, redactor))!.digest)
  }
  for (let at = 0; at <= 60; at++) {
    const [before, after] = ['.'.repeat(at), '-'.repeat(60 - at)]
    const hidden = `${before}${STARS}${after}`
    expect(await ship(`${before}${VALUE}${after}`, 67)).toBe(hidden)
    expect(await ship(`${before}${VALUE}${after}`, 40)).toBe(
      `${hidden.slice(0, 10)}\n… 27 bytes left out …\n${hidden.slice(-30)}`,
    )
  }
})

test('shipLog(), lastLines() and readHidden() find a value that lies across the parts in which a log is read', async () => {
  const blobs = await openFilesBlobStore(join(folder, 'blobs'))
  const chunk = 256 * 1024
  const log = `${'x'.repeat(chunk - 3)}${VALUE}${'y'.repeat(1_996)}`
  const hidden = log.replace(VALUE, STARS)
  writeFileSync(join(folder, 'log'), log)
  const { digest } = (await shipLog(blobs, folder, 1 << 20, redactor))!
  expect(await readBlobText(blobs, digest)).toBe(hidden)
  // The last 2,000 bytes begin within the value.
  expect(await lastLines(folder, redactor)).toBe(`:\n****${'y'.repeat(1_996)}`)
  await using file = await open(join(folder, 'log'))
  const parts = [0, chunk, 2 * chunk].map((start) =>
    readHidden(file, { start, end: start + chunk, isGrowing: true }, redactor),
  )
  expect(Buffer.concat(await Promise.all(parts)).toString()).toBe(hidden)
})

test('readHidden() of a log that grows gives nothing of a value that has only begun, and no byte twice', async () => {
  const path = join(folder, 'growing')
  writeFileSync(path, '')
  await using file = await open(path)
  let shown = ''
  for (const [written, seen] of [
    ['a ', 'a '],
    ['c', 'a '],
    ['\u00e4na', 'a '],
    ['ry', `a ${STARS}`],
    [' can', `a ${STARS} can`],
    [' c', `a ${STARS} can `],
    ['at', `a ${STARS} can cat`],
  ] as const) {
    appendFileSync(path, written)
    const start = Buffer.byteLength(shown)
    shown += (await readHidden(file, { start, end: start + 1_000, isGrowing: true }, redactor)).toString()
    expect(shown).toBe(seen)
  }
  // Who asks for the rest of a value that has begun gets none of it either.
  appendFileSync(path, ' cäna')
  const start = Buffer.byteLength(`${shown} cä`)
  expect((await readHidden(file, { start, end: start + 1_000, isGrowing: true }, redactor)).length).toBe(0)
})

test('readProgress() hides a value before it cuts a long message', async () => {
  const message = `${'x'.repeat(297)}${VALUE}`
  writeFileSync(join(folder, 'events'), `${JSON.stringify({ t: 'progress', fraction: 0.5, message })}\n`)
  expect(await readProgress(folder, redactor)).toEqual({ fraction: 0.5, message: `${'x'.repeat(297)}***` })
})
