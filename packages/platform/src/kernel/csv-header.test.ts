import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readCsvHeader } from './csv-header.ts'

const path = join(mkdtempSync(join(tmpdir(), 'plimsoll-csv-')), 'a.csv')
const WIDE = Array.from({ length: 30_000 }, (_, index) => `column ${index}`)

test.each([
  ['a,b\n1,2\n', ['a', 'b']],
  ['\uFEFFa\r\n1\r\n', ['a']],
  ['\n\r\n a ,\tb\n', ['a', 'b']],
  ['"a,\n""b""",,c\n', ['a,\n"b"', '', 'c']],
  ['a,b', ['a', 'b']],
  ['a,', ['a', '']],
  ['a,"b\n1,2\n', undefined],
  ['', undefined],
  ['\n\n', undefined],
  [`${WIDE.join(',')}\n1`, WIDE],
])('readCsvHeader() reads the names of the first line %#', async (text, names) => {
  writeFileSync(path, text)
  expect(await readCsvHeader(path, ',')).toEqual(names)
})

test('readCsvHeader() gives up on a line longer than any that is read', async () => {
  writeFileSync(path, 'a'.repeat(40 * 2 ** 20))
  expect(await readCsvHeader(path, ',')).toBeUndefined()
})
