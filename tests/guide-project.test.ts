import { execFileSync } from 'node:child_process'
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import type { DatasetDefinition, Definition } from '@plimsoll/sdk/wire'
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest'
import { openDuckdbQueryEngine } from '../packages/platform/src/adapters/duckdb/index.ts'
import { openFilesBlobStore } from '../packages/platform/src/adapters/files/index.ts'
import { declare, removeTemporaryFolders, runDatasetVersion } from '../packages/platform/src/datasets/step.fixture.ts'
import { collectProject } from '../packages/platform/src/definitions/client/index.ts'
import { reviewPlan } from '../packages/platform/src/definitions/plan.ts'
import { openTestDatabase, type TestDatabase } from '../packages/platform/src/kernel/db/database.fixture.ts'
import { openStepKinds } from '../packages/platform/src/processes/step-kinds.ts'

const ROOT = resolve(import.meta.dirname, '..')
const IMPORT = /^import \{[^}]+\} from '@plimsoll\/sdk'\n/m
const LOCK = `numpy==2.4.6 --hash=sha256:${'0'.repeat(64)}\n`

/** Pages whose TypeScript blocks are to be pasted, in the order of getting-started.md, and the pages that one builds on. */
const PAGES: [page: string, needs: string[], declares: string[]][] = [
  ['datasets', [], ['dataset/numbers']],
  ['pipelines', ['datasets'], ['model/echo', 'pipeline/train', 'pipeline/greet', 'pipeline/load']],
  ['models', ['datasets', 'pipelines'], ['route/echo']],
  ['serving', [], ['entity/customer', 'model/credit', 'route/credit']],
  [
    'features',
    [],
    [
      'dataset/flights',
      'dataset/labels',
      'entity/airport',
      'feature-view/delays',
      'feature-service/board',
      'model/delay',
      'pipeline/learn',
      'pipeline/refresh',
      'route/delay',
    ],
  ],
]
const ALL = PAGES.map(([page]) => page)

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
  const scripts = pages.flatMap((page) => ['python', 'mts', 'text'].flatMap((language) => blocksOf(page, language)))
  for (const text of scripts) {
    const [, path] = /^(?:#|\/\/) ((?:data|steps)\/\S+)\n/.exec(text) ?? []
    if (path === undefined) continue
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), text)
  }
}

/** What `plimsoll init` writes, with the import of getting-started.md in the place of its own and the blocks at its end. */
function openProject(pages: readonly string[]): string {
  const folder = openFolder()
  execFileSync(process.execPath, ['packages/platform/bin/plimsoll.mjs', 'init', folder, '--name', 'guide'], {
    cwd: ROOT,
  })
  const file = join(folder, 'plimsoll.project.mts')
  const [names] = blocksOf('getting-started', 'ts')
  const written = readFileSync(file, 'utf8').replace(IMPORT, names!)
  writeFileSync(file, [written, ...pages.flatMap((page) => blocksOf(page, 'ts'))].join('\n'))
  writeScripts(folder, pages)
  writeFileSync(join(folder, 'steps/requirements.lock'), LOCK)
  return folder
}

function openYamlProject(): string {
  const folder = openFolder()
  writeFileSync(join(folder, 'plimsoll.project.yaml'), blocksOf('projects-in-yaml', 'yaml').join('\n'))
  writeScripts(folder, ['projects-in-yaml', 'pipelines'])
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
    expect(pageText(page)).toContain('[import](getting-started.md#the-project-file)')
    const last = needs.at(-1)
    if (last !== undefined) expect(pageText(page)).toContain(`(${last}.md)`)
  },
  60_000,
)

test('getting-started.md has one import for all pages, of the names that they use, and lists them in their order', () => {
  const [names, ...others] = blocksOf('getting-started', 'ts')
  expect(others).toEqual([])
  const imported = [...names!.matchAll(/(\w+),/g)].map(([, name]) => name!)
  const init = readFileSync(join(openProject([]), 'plimsoll.project.mts'), 'utf8').replace(IMPORT, '')
  const blocks = ALL.flatMap((page) => blocksOf(page, 'ts'))
  expect(blocks.filter((block) => block.includes('import'))).toEqual([])
  const used = new Set([init, ...blocks].join('\n').match(/\w+(?=\()/g))
  expect(imported.filter((name) => !used.has(name))).toEqual([])
  const listed = [...pageText('getting-started').matchAll(/^\d\. .*\((\S+)\.md\)/gm)].map(([, page]) => page!)
  expect(listed).toEqual([...ALL, 'tracking'])
})

/** What a command takes: a kind whose name is given in the project, or what a command before it makes. */
const TAKES: [command: RegExp, declaration: (name: string) => string][] = [
  [/^plimsoll run start (\S+)/, (name) => `definePipeline({\n  name: '${name}'`],
  [/^plimsoll model (?:versions|show) (\S+)/, (name) => `defineModel({\n  name: '${name}'`],
  [/^plimsoll dataset (?:add|versions|show) (\S+)/, (name) => `defineDataset({\n  name: '${name}'`],
  [/^plimsoll features (?:show view|materializations) (\S+)/, (name) => `defineFeatureView({\n  name: '${name}'`],
  [/^plimsoll approve (\S+)/, (name) => `defineModel({\n  name: '${name}'`],
  [/^plimsoll (?:release|rollback|retire|predict) (\S+)/, (name) => `name: '${name}', model: ${name}`],
  [/^python3 (data\/\S+)/, (path) => `# ${path}\n`],
]

test('each command of the pages, in their order, names what was declared and applied before, from a committed tree', () => {
  const blocks = ALL.flatMap((page) => [...pageText(page).matchAll(/^```(\w+)\n(.*?)^```/gms)])
  let text = ''
  let applied = ''
  let isCommitted = false
  const early: string[] = []
  for (const [, language, block] of blocks) {
    if (language !== 'sh') {
      text += `${block!.replaceAll(/\n {2}(?=model: )/g, ' ')}\n`
      isCommitted &&= language !== 'ts'
      continue
    }
    for (const command of block!.split('\n')) {
      if (command.startsWith('git commit')) isCommitted = true
      if (command === 'plimsoll apply' && !isCommitted) early.push(command)
      if (command === 'plimsoll apply') applied = text
      for (const [pattern, declaration] of TAKES) {
        const [, name] = pattern.exec(command) ?? []
        const known = command.startsWith('python3') ? text : applied
        if (name !== undefined && !known.includes(declaration(name))) early.push(command)
      }
    }
  }
  expect(early).toEqual([])
})

test.each([
  ['the pages, made in one folder', () => openProject(ALL), ['flights', 'labels', 'numbers']],
  ['projects-in-yaml.md', openYamlProject, ['amounts']],
])(
  'the data of %s pass as versions of their datasets',
  async (_pages, open, names) => {
    const folder = open()
    const { content } = await collectProject(folder)
    for (const script of globSync('data/*.py', { cwd: folder })) execFileSync('python3', [script], { cwd: folder })
    const engine = openDuckdbQueryEngine({ tempDirectory: openFolder(), threads: 2 })
    onTestFinished(() => engine.close())
    const datasets = content.definitions.filter((one): one is DatasetDefinition => one.kind === 'dataset')
    expect(datasets.map(({ name }) => name).sort()).toEqual(names)
    for (const definition of datasets) {
      await declare(database.ctx, definition)
      const made = await runDatasetVersion(database.ctx, engine, { dataset: definition.name, root: folder })
      expect(made).toMatchObject({ verdict: 'passed', failed: 0 })
    }
  },
  60_000,
)

test('the model of features.md learns from columns that its route is given or looks up', async () => {
  const { content } = await collectProject(openProject(['features']))
  const one = <K extends Definition['kind']>(kind: K, name: string) =>
    content.definitions.find((found) => found.kind === kind && found.name === name) as Extract<Definition, { kind: K }>
  const inputs = Object.entries(one('route', 'delay').inputs)
  const given = inputs.flatMap(([name, input]) => ('entity' in input ? [] : [name]))
  expect(Object.keys(one('dataset', 'labels').schema)).toEqual(expect.arrayContaining(inputs.map(([name]) => name)))
  const features = Object.keys(one('feature-view', 'delays').features)
  const looked = one('feature-service', 'board').views.flatMap(({ as }) => features.map((name) => `${as}__${name}`))
  const [, columns] = /^COLUMNS = (\[.+\])$/m.exec(pageText('features')) ?? []
  expect([...JSON.parse(columns!)].sort()).toEqual([...given, ...looked].sort())
  expect(one('model', 'delay')).toMatchObject({
    owner: expect.any(String),
    intent: { intendedUse: expect.any(String), limitations: expect.any(String) },
  })
})

test('no other page of the guide has a TypeScript block', () => {
  const pages = globSync('docs/guide/*.md', { cwd: ROOT }).map((path) => basename(path, '.md'))
  expect(pages.filter((page) => blocksOf(page, 'ts').length > 0).sort()).toEqual([...ALL, 'getting-started'].sort())
})

test('the blocks of all pages of the guide are one project, each name declared once', async () => {
  const { declares } = await planOf(openProject(ALL))
  expect(declares).toEqual(['pipeline/hello', ...PAGES.flatMap(([, , declared]) => declared)].sort())
}, 60_000)

test('the blocks of projects-in-yaml.md are a project that plan takes, with names that no other page declares', async () => {
  const found = await planOf(openYamlProject())
  expect(found).toEqual({
    declares: ['dataset/amounts', 'model/sums', 'pipeline/report', 'pipeline/sums'],
    warnings: [],
  })
  const others = new Set(PAGES.flatMap(([, , declares]) => declares))
  expect(found.declares.filter((name) => others.has(name))).toEqual([])
}, 60_000)
