import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { holderOf, lockDirectory } from './directory-lock.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'plimsoll-lock-'))
})
afterEach(() => {
  for (const path of [directory, `${directory}.lock`]) rmSync(path, { recursive: true, force: true })
})

test('lockDirectory() names the process that holds the directory, and gives it once that one lets go', async () => {
  const unlock = await lockDirectory(directory, 'pglite.directory_in_use')
  await expect(lockDirectory(directory, 'pglite.directory_in_use')).rejects.toMatchObject({
    kind: 'conflict',
    code: 'pglite.directory_in_use',
    details: { pid: process.pid },
  })
  expect(holderOf(directory)).toBe(process.pid)
  await unlock()
  expect(holderOf(directory)).toBeUndefined()
  await (await lockDirectory(directory, 'pglite.directory_in_use'))()
})

/** Locks the directory in a process that can open no file more. */
const OUT_OF_FILES = `
import { openSync } from 'node:fs'
const [module, directory] = process.argv.slice(1)
const { lockDirectory } = await import(module)
try {
  for (;;) openSync('/dev/null')
} catch {}
await lockDirectory(directory, 'pglite.directory_in_use').catch(({ code }) => process.stdout.write(code))
process.exit()
`

test.runIf(process.platform === 'linux')('lockDirectory() blames nobody for what the system refuses', () => {
  const module = join(import.meta.dirname, 'directory-lock.ts')
  const command = 'ulimit -n 128 && exec "$@"'
  const argv = [process.execPath, '--input-type=module', '-e', OUT_OF_FILES, module, directory]
  const { stdout, stderr } = spawnSync('sh', ['-c', command, 'sh', ...argv], { encoding: 'utf8' })
  expect([stdout, stderr]).toEqual(['EMFILE', ''])
})
