import { execFileSync } from 'node:child_process'
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import type { DatasetDefinition } from '@plimsoll/sdk/wire'
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest'
import { openDuckdbQueryEngine } from '../packages/platform/src/adapters/duckdb/index.ts'
import { openFilesBlobStore } from '../packages/platform/src/adapters/files/index.ts'
import { declare, removeTemporaryFolders, runDatasetVersion } from '../packages/platform/src/datasets/step.fixture.ts'
import { collectProject } from '../packages/platform/src/definitions/client/index.ts'
import { reviewPlan } from '../packages/platform/src/definitions/plan.ts'
import { openTestDatabase, type TestDatabase } from '../packages/platform/src/kernel/db/database.fixture.ts'
import { openStepKinds } from '../packages/platform/src/processes/step-kinds.ts'

const ROOT = resolve(import.meta.dirname, '..')
const IMPORT = /^import \{ (.+) \} from '@plimsoll\/sdk'\n/m
const LOCK = `numpy==2.4.6 --hash=sha256:${'0'.repeat(64)}\n`

/** Pages whose TypeScript blocks are to be pasted, in an order in which all of them may be, and the pages that one builds on. */
const PAGES: [page: string, needs: string[], declares: string[]][] = [
  ['datasets', [], ['dataset/numbers']],
  [
    'features',
    [],
    [
      'dataset/flights',
      'dataset/labels',
      'entity/airport',
      'feature-view/delays',
      'feature-service/board',
      'pipeline/learn',
      'pipeline/refresh',
      'model/delay',
      'route/delay',
    ],
  ],
  ['models', [], ['model/echo', 'route/echo']],
  ['pipelines', ['datasets', 'models'], ['pipeline/train', 'pipeline/greet', 'pipeline/load']],
  ['serving', [], ['entity/customer', 'model/credit', 'route/credit']],
]

const pageText = (page: string) => readFileSync(join(ROOT, `docs/guide/${page}.md`), 'utf8')
const blocksOf = (page: string, language: string) =>
  [...pageText(page).matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, 'gms'))].map(([, text]) => text!)

let database: TestDatabase
beforeAll(async () => {
  database = await openTestDatabase()
})
beforeEach(() => database.clear())
afterAll(async () => {
  await database.close()
  removeTemporaryFolders()
})

function openFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'plimsoll-guide-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** The scripts that the pages print: the first line of such a block names its file. */
function writeScripts(folder: string, pages: readonly string[]): void {
  const scripts = pages.flatMap((page) => ['python', 'mts'].flatMap((language) => blocksOf(page, language)))
  for (const text of scripts) {
    const [, path] = /^(?:#|\/\/) ((?:data|steps)\/\S+)\n/.exec(text) ?? []
    if (path === undefined) continue
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), text)
  }
}

/** What `plimsoll init` writes, with the blocks behind it and the names that they import at its top, as the pages ask for. */
function openProject(pages: readonly string[]): string {
  const folder = openFolder()
  execFileSync(process.execPath, ['packages/platform/bin/plimsoll.mjs', 'init', folder, '--name', 'guide'], {
    cwd: ROOT,
  })
  const file = join(folder, 'plimsoll.project.mts')
  const texts = [readFileSync(file, 'utf8'), ...pages.flatMap((page) => blocksOf(page, 'ts'))]
  const names = new Set(texts.flatMap((text) => IMPORT.exec(text)![1]!.split(', ')))
  const whole = [
    `import { ${[...names].join(', ')} } from '@plimsoll/sdk'\n`,
    ...texts.map((text) => text.replace(IMPORT, '')),
  ]
  writeFileSync(file, whole.join('\n'))
  writeScripts(folder, pages)
  writeFileSync(join(folder, 'steps/requirements.lock'), LOCK)
  return folder
}

/** What `plimsoll plan` says of the folder, of a server that has nothing yet: what would be declared, and warnings of the folder. */
async function planOf(folder: string): Promise<{ declares: string[]; warnings: readonly string[] }> {
  const { content, warnings } = await collectProject(folder)
  const blobs = await openFilesBlobStore(openFolder())
  onTestFinished(() => blobs.close())
  const { changes } = await reviewPlan(database.ctx, { blobs, kinds: openStepKinds(0) }, content, false)
  return { declares: changes.map(({ kind, name }) => `${kind}/${name}`).sort(), warnings }
}

test.each(PAGES)(
  'the blocks of %s.md, pasted in their order, are a project that plan takes',
  async (page, needs, declares) => {
    const found = await planOf(openProject([...needs, page]))
    expect(found.declares).toEqual(expect.arrayContaining(['pipeline/hello', ...declares]))
    expect(found.warnings).toEqual([])
    expect(pageText(page).replaceAll('\n', ' ')).toContain('to the `plimsoll.project.mts` that `plimsoll init` wrote')
    for (const need of needs) expect(pageText(page)).toContain(`(${need}.md)`)
  },
  60_000,
)

test.each([
  ['datasets', ['numbers']],
  ['features', ['flights', 'labels']],
])(
  'the data that %s.md makes pass as versions of its datasets',
  async (page, names) => {
    const folder = openProject([page])
    const { content } = await collectProject(folder)
    const scripts = globSync('data/*.py', { cwd: folder })
    for (const script of scripts) execFileSync('python3', [script], { cwd: folder })
    const engine = openDuckdbQueryEngine({ tempDirectory: openFolder(), threads: 2 })
    onTestFinished(() => engine.close())
    for (const name of names) {
      const definition = content.definitions.find((one) => one.kind === 'dataset' && one.name === name)
      await declare(database.ctx, definition as DatasetDefinition) // found by its kind
      const made = await runDatasetVersion(database.ctx, engine, { dataset: name, root: folder })
      expect(made).toMatchObject({ verdict: 'passed', failed: 0 })
    }
  },
  60_000,
)

test('no other page of the guide has a TypeScript block', () => {
  const pages = globSync('docs/guide/*.md', { cwd: ROOT }).map((path) => basename(path, '.md'))
  expect(pages.filter((page) => blocksOf(page, 'ts').length > 0).sort()).toEqual(PAGES.map(([page]) => page).sort())
})

test('the blocks of all pages of the guide are one project, each name declared once', async () => {
  const { declares } = await planOf(openProject(PAGES.map(([page]) => page)))
  expect(declares).toEqual(['pipeline/hello', ...PAGES.flatMap(([, , declared]) => declared)].sort())
}, 60_000)

test('the blocks of projects-in-yaml.md are a project that plan takes, with the scripts that are printed', async () => {
  const folder = openFolder()
  writeFileSync(join(folder, 'plimsoll.project.yaml'), blocksOf('projects-in-yaml', 'yaml').join('\n'))
  writeScripts(folder, ['projects-in-yaml', 'pipelines'])
  expect(await planOf(folder)).toEqual({
    declares: ['dataset/numbers', 'model/sums', 'pipeline/greet', 'pipeline/sums'],
    warnings: [],
  })
}, 60_000)
