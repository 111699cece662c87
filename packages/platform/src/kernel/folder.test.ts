import { mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { makeFolder } from './folder.ts'

test('makeFolder() makes what is missing above it, and is content with a folder that is there', () => {
  const root = mkdtempSync(join(tmpdir(), 'plimsoll-folder-'))
  makeFolder(join(root, 'a/b/c'), 0o700)
  makeFolder(join(root, 'a/b/c'))
  expect(statSync(join(root, 'a/b')).mode & 0o777).toBe(0o700)
  writeFileSync(join(root, 'file'), '')
  symlinkSync(join(root, 'nowhere/below'), join(root, 'dangling'))
  expect(() => makeFolder(join(root, 'file'))).toThrow('EEXIST')
  expect(() => makeFolder(join(root, 'file/x'))).toThrow('ENOTDIR')
  expect(() => makeFolder(join(root, 'dangling'))).toThrow('EEXIST')
  expect(() => makeFolder(join(root, 'dangling/x/y'))).toThrow(/EEXIST|ENOENT/)
  rmSync(root, { recursive: true })
})

test.runIf(process.platform === 'linux')('makeFolder() returns where a parent exists and takes no folder', () => {
  expect(() => makeFolder('/proc/plimsoll/x')).toThrow('ENOENT')
})
