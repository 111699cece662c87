import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { openRegular, readRegular, readRegularSync } from './regular-file.ts'

const folder = mkdtempSync(join(tmpdir(), 'plimsoll-regular-'))
afterAll(() => rmSync(folder, { recursive: true }))
const at = (name: string) => join(folder, name)

writeFileSync(at('file'), 'four')
writeFileSync(at('empty'), '')
symlinkSync(at('file'), at('link'))
execFileSync('mkfifo', [at('pipe')])

test.each([
  ['a file of as many bytes', 'file', 4, 'four'],
  ['a file of more', 'file', 3, undefined],
  ['an empty file', 'empty', 0, ''],
  ['nothing', 'none', 4, undefined],
  ['a link to a file', 'link', 4, undefined],
  ['a directory', '', 4, undefined],
  ['a pipe that nobody writes', 'pipe', 4, undefined],
  ['a device', '/dev/null', 4, undefined],
])('readRegular() and readRegularSync() of %s', async (_title, name, bytesMax, text) => {
  const path = name.startsWith('/') ? name : at(name)
  expect((await readRegular(path, bytesMax))?.toString()).toBe(text)
  expect(readRegularSync(path, bytesMax)?.toString()).toBe(text)
})

test('openRegular() opens a file, and nothing else', async () => {
  const file = await openRegular(at('file'))
  expect(await file?.readFile('utf8')).toBe('four')
  await file?.close()
  for (const name of ['none', 'link', '', 'pipe']) expect(await openRegular(at(name))).toBeUndefined()
})
