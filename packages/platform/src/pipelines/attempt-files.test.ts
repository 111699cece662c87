import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { lastLines } from './attempt-files.ts'

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

test.each([
  ['nothing', ' \n\n', ''],
  ['five lines, indented as they were', '1\n2\n  3\n4\n5\n6\n', ':\n2\n  3\n4\n5\n6'],
  ['the exception', `${TRACEBACK}KeyError: 'rows'\n`, ":\nKeyError: 'rows'"],
  [
    'the last exception',
    `${TRACEBACK}KeyError: 'a'\n\nDuring handling of the above exception, another exception occurred:\n\n${TRACEBACK}OSError: b\n`,
    ':\nOSError: b',
  ],
  ['a syntax error', '  File "fit.py", line 1\n    x = = 1\n        ^\nSyntaxError: bad\n', ':\nSyntaxError: bad'],
  [
    'a message that points at a word',
    `${TRACEBACK}ParserException: near "x"\n\nLINE 1: x\n        ^\n`,
    ':\nParserException: near "x"\n\nLINE 1: x\n        ^',
  ],
  ['the name and the end of a long one', `${TRACEBACK}E: 1\n 2\n 3\n 4\n 5\n 6\n`, ':\nE: 1\n…\n 4\n 5\n 6'],
  ['what follows a trace that was printed', `${TRACEBACK}E: 1\na\nb\nc\nno disk\n`, ':\nE: 1\na\nb\nc\nno disk'],
  ['a trace cut off in its frames', TRACEBACK, `:\n${TRACEBACK.trimEnd().split('\n').slice(-5).join('\n')}`],
])('lastLines() tells of a log: %s', async (_title, log, told) => {
  writeFileSync(join(folder, 'log'), log)
  expect(await lastLines(folder)).toBe(told)
})
