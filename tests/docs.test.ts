import { spawnSync } from 'node:child_process'
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'
import { dataPaths } from '../packages/platform/src/processes/data-directory.ts'
import { readErrorCodes } from '../scripts/docs-errors.ts'
import { referencePages } from '../scripts/docs-reference.ts'

const ROOT = resolve(import.meta.dirname, '..')
const pages = referencePages(ROOT)

test.each([...pages.keys()])('%s says what the code says; npm run docs makes it anew', (path) => {
  expect(existsSync(join(ROOT, path)) ? readFileSync(join(ROOT, path), 'utf8') : undefined).toBe(pages.get(path))
})

test('readErrorCodes() finds codes that are thrown, tabled, listed and made by short forms', () => {
  const codes = new Map(readErrorCodes(ROOT).map((one) => [one.code, one]))
  const kindsOf = (code: string) => [...(codes.get(code)?.kinds ?? [])]
  expect(kindsOf('registry.alias_moved')).toEqual(['precondition'])
  expect(kindsOf('http.body_too_large')).toEqual(['too_large'])
  expect(kindsOf('pipelines.bad_params')).toEqual(['invalid'])
  expect(kindsOf('features.view_not_found')).toEqual(['not_found'])
  expect(kindsOf('serving.snapshot_unsigned')).toEqual(['invalid'])
  expect(kindsOf('http.request_timeout')).toEqual(['invalid'])
  expect(codes.has('registry.version_registered'), 'an event is no error').toBe(false)
})

test('errors.md has an anchor for every code, as the type of a problem promises', () => {
  const page = pages.get('docs/reference/errors.md')!
  for (const { code } of readErrorCodes(ROOT)) expect(page).toContain(`<a id="${code}"></a>`)
})

test('events.md has every event that a domain declares, and none of a test', () => {
  const page = pages.get('docs/reference/events.md')!
  const listed = [...page.matchAll(/^\| `([a-z_]+\.[a-z_]+)` \|/gm)].map((match) => match[1]!)
  const texts = globSync('packages/platform/src/**/events.ts', { cwd: ROOT }).map((path) =>
    readFileSync(join(ROOT, path), 'utf8'),
  )
  const declared = texts.flatMap((text) => [...text.matchAll(/^ {2}'([a-z_.]+)': \{$/gm)].map((match) => match[1]!))
  expect(listed.sort()).toEqual(declared.sort())
  expect(listed).toContain('registry.alias_moved')
})

/** Codes that no test can bring about here, each with its reason. */
const UNREACHED: Readonly<Record<string, string>> = {
  'onnx.fp16_broken': 'for builds of the runtime that lose FP16 tensors; those that we install carry them',
}

test('every code of errors.md is named in a test, or excused with a reason', () => {
  const patterns = [
    '{packages,scripts,bench,examples}/**/*.{test,fixture,contract}.{ts,tsx}',
    '**/test_*.py',
    'tests/**/*.{ts,tsx,mjs,py}',
  ]
  const exclude = (path: string) => /(^|\/)(node_modules|dist|\.venv)(\/|$)/.test(path) || path.endsWith('docs.test.ts')
  const texts = globSync(patterns, { cwd: ROOT, exclude }).map((path) => readFileSync(join(ROOT, path), 'utf8'))
  const named = new Set(texts.flatMap((text) => text.match(/\b[a-z][a-z_]*\.[a-z][a-z_0-9]*\b/g) ?? []))
  const codes = [...pages.get('docs/reference/errors.md')!.matchAll(/<a id="([^"]+)">/g)].map((match) => match[1]!)
  expect(codes.filter((code) => !named.has(code)).sort()).toEqual(Object.keys(UNREACHED).sort())
})

test('cli.md shows every command with its example', () => {
  const page = pages.get('docs/reference/cli.md')!
  for (const command of [
    'init',
    'up',
    'plan',
    'run start',
    'features show',
    'approve',
    'rollback',
    'explain',
    'doctor',
  ])
    expect(page).toContain(`$ plimsoll ${command}`)
})

/** `plimsoll …` commands that the pages name, from fenced blocks and inline code. */
function commandsIn(text: string): string[] {
  return [...text.matchAll(/(?:^|`|&& |\$ )(?:npx )?plimsoll ([a-z][a-z-]*(?: [a-z]+)?)/gm)].map((match) => match[1]!)
}

test('the pages name only commands that there are', () => {
  const known = [...pages.get('docs/reference/cli.md')!.matchAll(/^## plimsoll (.+)$/gm)].map((match) => match[1]!)
  const isKnown = (named: string) =>
    known.some(
      (one) => one === named || one === named.split(' ')[0] || (!named.includes(' ') && one.startsWith(`${named} `)),
    )
  const paths = ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', ...globSync('{docs,examples}/**/*.md', { cwd: ROOT })]
  const unknown = paths
    .filter((path) => !path.includes('node_modules'))
    .flatMap((path) =>
      commandsIn(readFileSync(join(ROOT, path), 'utf8'))
        .filter((named) => !isKnown(named))
        .map((named) => `${path}: plimsoll ${named}`),
    )
  expect(unknown).toEqual([])
})

/** What the pages import. */
const SDK = ['index.ts', 'define/feature.ts'].map(
  (path) => `export * from '${pathToFileURL(join(ROOT, 'packages/sdk/src', path))}'\n`,
)

test("every TypeScript example of the SDK's page is a module that runs; guide-project.test.ts plans those of the guide", () => {
  const folder = mkdtempSync(join(tmpdir(), 'plimsoll-docs-'))
  try {
    writeFileSync(join(folder, 'sdk.mts'), SDK.join(''))
    const failed: string[] = []
    const blocks = [...readFileSync(join(ROOT, 'packages/sdk/README.md'), 'utf8').matchAll(/^```ts\n(.*?)^```/gms)]
    for (const [index, [, text]] of blocks.entries()) {
      const file = join(folder, `${index}.mts`)
      writeFileSync(file, text!.replace("'@plimsoll/sdk'", "'./sdk.mts'"))
      const { status, stderr } = spawnSync(process.execPath, ['--no-warnings', file], { cwd: ROOT, encoding: 'utf8' })
      if (status !== 0) failed.push(stderr.slice(0, 500))
    }
    expect(failed).toEqual([])
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

test('plimsoll --help starts with the commands of getting-started.md, which the versions of a project need', () => {
  const stepsOf = (text: string) =>
    [...text.matchAll(/(?:^|&& |\$ )((?:git|plimsoll) (?:init|add|commit|up|apply|run start))\b/gm)].map(
      ([, step]) => step,
    )
  const { stdout } = spawnSync(process.execPath, ['packages/platform/bin/plimsoll.mjs', '--help'], {
    cwd: ROOT,
    encoding: 'utf8',
  })
  const guide = readFileSync(join(ROOT, 'docs/guide/getting-started.md'), 'utf8')
  const blocks = [...guide.matchAll(/^```sh\n(.*?)^```/gms)].map(([, text]) => text!)
  expect(stepsOf(stdout).sort()).toEqual(stepsOf(blocks.join('')).sort())
})

test('operating.md lists what is in a data directory, and nothing else', () => {
  const page = readFileSync(join(ROOT, 'docs/guide/operating.md'), 'utf8')
  const table = page.slice(page.indexOf('| below it'), page.indexOf('\nSettings are in'))
  const listed = [...table.matchAll(/^\| (`.+?`) \|/gm)].flatMap((row) =>
    [...row[1]!.matchAll(/`([^`/]+)\/?`/g)].map((name) => name[1]!),
  )
  const made = Object.values(dataPaths('data')).map((path) => path.split('/')[1]!)
  expect(listed.sort()).toEqual([...made, 'plimsoll.yaml'].sort())
})

test('no package of the lockfile asks npm for another Node than the project: all run under the one that it brings', () => {
  const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { engines?: unknown }>
  }
  const asking = Object.entries(lock.packages).filter(
    ([path, { engines }]) => path.includes('node_modules/') && engines,
  )
  expect(
    asking.map(([path]) => path),
    'run node scripts/strip-engines.mjs',
  ).toEqual([])
})
