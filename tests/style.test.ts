import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const ROOT = resolve(import.meta.dirname, '..')
const PLATFORM = 'packages/platform/src/datasets'
const LONG = `export function long() {\n${'  void 0\n'.repeat(71)}}\n`

/** A violation of each rule of the house that biome holds: the file it stands in, and the rule that must name it. */
const PLANTED: [string, string, string, string][] = [
  ['any', `${PLATFORM}/any.ts`, 'export const x: any = 1\n', 'suspicious/noExplicitAny'],
  ['a default export', `${PLATFORM}/default.ts`, 'export default function x() {}\n', 'style/noDefaultExport'],
  [
    'a default export of the console',
    'packages/console/src/rooms/a.tsx',
    'export default function A() {\n  return null\n}\n',
    'style/noDefaultExport',
  ],
  ['export *', `${PLATFORM}/index.ts`, "export * from './any.ts'\n", 'performance/noReExportAll'],
  ['a barrel', `${PLATFORM}/barrel.ts`, "export { x } from './any.ts'\n", 'performance/noBarrelFile'],
  [
    'a barrel of the console',
    'packages/console/src/all.ts',
    "export { A } from './a.ts'\n",
    'performance/noBarrelFile',
  ],
  [
    'a promise that floats',
    `${PLATFORM}/floating.ts`,
    'async function later(): Promise<void> {}\nexport function x(): void {\n  later()\n}\n',
    'nursery/noFloatingPromises',
  ],
  ['a function over 70 lines', `${PLATFORM}/long.ts`, LONG, 'complexity/noExcessiveLinesPerFunction'],
  ['an enum', `${PLATFORM}/enum.ts`, 'export enum Kind {\n  A,\n}\n', 'style/noEnum'],
  ['a namespace', `${PLATFORM}/namespace.ts`, 'export namespace A {\n  export const b = 1\n}\n', 'style/noNamespace'],
  [
    'a type imported as a value',
    `${PLATFORM}/type.ts`,
    "import { A } from './a.ts'\nexport type B = A\n",
    'style/useImportType',
  ],
  ['a test that runs alone', `${PLATFORM}/a.test.ts`, "test.only('x', () => {})\n", 'suspicious/noFocusedTests'],
]

/** What the rules leave alone: the public face of a room, and what a tool asks for by `default`. */
const ALLOWED: [string, string, string][] = [
  ['the index of a domain', 'packages/platform/src/tracking/index.ts', "export { x } from './run.ts'\n"],
  ['the index of the sdk', 'packages/sdk/src/index.ts', "export { x } from './run.ts'\n"],
  ['a project', 'examples/one/plimsoll.project.mts', 'export default { x: 1 }\n'],
  ['a long test', `${PLATFORM}/long.test.ts`, LONG],
]

interface Report {
  readonly diagnostics: readonly { readonly category: string; readonly location: { readonly path: string } }[]
}

describe('biome.json', () => {
  let directory: string
  let found: { category: string; path: string }[]

  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'plimsoll-style-'))
    copyFileSync(join(ROOT, 'biome.json'), join(directory, 'biome.json'))
    for (const [, path, text] of [...PLANTED, ...ALLOWED]) {
      mkdirSync(dirname(join(directory, path)), { recursive: true })
      writeFileSync(join(directory, path), text)
    }
    const { stdout, stderr } = spawnSync(
      process.execPath,
      [
        join(ROOT, 'node_modules/@biomejs/biome/bin/biome'),
        'lint',
        '--vcs-enabled=false',
        '--reporter=json',
        '--max-diagnostics=none',
        '.',
      ],
      { cwd: directory, encoding: 'utf8' },
    )
    if (stdout === '') throw new Error(`biome said nothing: ${stderr}`)
    const { diagnostics } = JSON.parse(stdout) as Report
    found = diagnostics.map(({ category, location }) => ({ category, path: location.path }))
  })
  afterAll(() => rmSync(directory, { recursive: true, force: true }))

  test.each(PLANTED)('finds %s', (_name, path, _text, rule) => {
    expect(found).toContainEqual({ path, category: `lint/${rule}` })
  })

  test.each(ALLOWED)('leaves alone %s', (_name, path) => {
    expect(found.filter((diagnostic) => diagnostic.path === path)).toEqual([])
  })
})
