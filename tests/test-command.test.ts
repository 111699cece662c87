import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'

/** A folder in which `npm test` finds these tests and no others. */
let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'plimsoll-test-command-'))
  for (const name of ['node_modules', 'scripts']) symlinkSync(join(import.meta.dirname, '..', name), join(folder, name))
  // Not where the tests around it keep what they know of the files.
  writeFileSync(join(folder, 'vitest.config.ts'), "export default { cacheDir: './cache' }")
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
  const plant = (name: string, text: string) =>
    writeFileSync(join(folder, `${name}.test.ts`), `import { expect, test } from 'vitest'\n${text}`)
  plant('holds', `test('holds', () => {})\ntest.skip('a server: left out, it is not installed', () => {})`)
  plant('noted', `test('needs a mount', (context) => context.skip('mounting is not allowed here'))`)
  plant('broken', `test('is never reached', () => {})\nthrow new Error('at import')`)
  plant('fails', `test('fails', () => expect(1).toBe(2))`)
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function run(names: readonly string[], environment: NodeJS.ProcessEnv = {}) {
  const { PLIMSOLL_REQUIRE_SERVERS: _, ...inherited } = process.env
  const { status, stdout } = spawnSync(
    process.execPath,
    ['scripts/test.mjs', ...names.map((name) => `${name}.test.ts`)],
    { cwd: folder, encoding: 'utf8', env: { ...inherited, ...environment } },
  )
  return { status, stdout, last: stdout.trimEnd().split('\n').at(-1) }
}

test('npm test names what it leaves out with the reason, and counts it neither as passed nor as failed', () => {
  const { status, stdout, last } = run(['holds', 'noted'])
  expect([status, last]).toEqual([0, '1 passed, 0 failed, 2 skipped'])
  expect(stdout).toContain('  a server: left out, it is not installed\n')
  expect(stdout).toContain('  needs a mount: left out, mounting is not allowed here\n')
})

test('npm test counts what is left out as failed where every server is required', () => {
  const { status, last } = run(['holds', 'noted'], { PLIMSOLL_REQUIRE_SERVERS: '1' })
  expect([status, last]).toEqual([1, '1 passed, 2 failed, 0 skipped'])
})

test('npm test counts a test that fails, a file that cannot be read, and a path without any test', () => {
  const { status, last } = run(['holds', 'fails', 'broken'])
  expect([status, last]).toEqual([1, '1 passed, 2 failed, 1 skipped'])
  expect(run(['nowhere'])).toMatchObject({ status: 1, last: '0 passed, 1 failed, 0 skipped' })
})
