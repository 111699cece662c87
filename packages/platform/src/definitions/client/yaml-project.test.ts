import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { ClientError } from '@plimsoll/sdk/client'
import { DEFINITION_KINDS } from '@plimsoll/sdk/wire'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { stringify } from 'yaml'
import { collectProject, evaluateProject } from './index.ts'

const REPOSITORY = resolve(import.meta.dirname, '../../../../..')
const GUIDE = join(REPOSITORY, 'docs/guide/projects-in-yaml.md')
let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'plimsoll-yaml-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function write(path: string, text: string): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true })
  writeFileSync(join(folder, path), text)
}

function guideExample(): string {
  return /```yaml\n([\s\S]*?)```/.exec(readFileSync(GUIDE, 'utf8'))![1]!
}

test('the example of the guide is a project, with the code of its step', async () => {
  write('plimsoll.project.yaml', guideExample())
  write('steps/sum.py', 'print(1)\n')
  const { content, blobs } = await collectProject(folder)
  expect(content.source).toBe('sums')
  expect(content.definitions.map((one) => `${one.kind}/${one.name}`)).toEqual([
    'dataset/amounts',
    'model/sums',
    'pipeline/sums',
  ])
  expect(content.bundles['sums']?.['sum']?.files.map((file) => file.path)).toEqual(['steps/sum.py'])
  expect(blobs.size).toBe(1)
})

test('YAML and TypeScript make the same definitions', async () => {
  write('plimsoll.project.yaml', guideExample())
  const fromYaml = await evaluateProject(folder)
  rmSync(join(folder, 'plimsoll.project.yaml'))
  write(
    'plimsoll.project.mts',
    `import { datasetVersion, defineDataset, defineModel, definePipeline, defineProject, float64, int, int64, python } from '@plimsoll/sdk'
export const project = defineProject({ name: 'sums' })
export const amounts = defineDataset({ name: 'amounts', source: { format: 'csv', path: 'data/amounts.csv' }, schema: { x: int64(), y: float64({ nullable: true }) }, expectations: [{ type: 'expect_column_values_to_be_between', kwargs: { column: 'x', min_value: 0 } }] })
export const model = defineModel({ name: 'sums', owner: 'someone@example.org' })
export const pipeline = definePipeline({
  name: 'sums',
  params: { rows: int(100) },
  build: (p) => {
    const version = datasetVersion(amounts, { key: 'amounts' })
    python('steps/sum.py', { params: { rows: p.param('rows') }, inputs: { amounts: version }, outputs: { metrics: 'json' } })
  },
})
`,
  )
  expect(fromYaml).toEqual(await evaluateProject(folder))
})

test('the definitions of the example, of every kind there is, are the same as YAML', async () => {
  const { source, definitions } = await evaluateProject(join(REPOSITORY, 'examples/flight-delay'))
  expect(new Set(definitions.map(({ kind }) => kind))).toEqual(new Set(DEFINITION_KINDS))
  write('plimsoll.project.yaml', stringify({ project: source, definitions }, { aliasDuplicateObjects: false }))
  expect(await evaluateProject(folder)).toEqual({ source, definitions, warnings: [] })
})

test('secrets of a step are written in YAML as in TypeScript, and a bad one is named with its line', async () => {
  const withSecret = (line: string) => guideExample().replace('outputs: { metrics: json }', `$&\n        ${line}`)
  write('plimsoll.project.yaml', withSecret('secrets: { WAREHOUSE_PASSWORD: warehouse-password }'))
  const { definitions } = await evaluateProject(folder)
  expect(definitions.find(({ kind }) => kind === 'pipeline')).toMatchObject({
    steps: [expect.not.objectContaining({ secrets: {} }), { secrets: { WAREHOUSE_PASSWORD: 'warehouse-password' } }],
  })
  write('plimsoll.project.yaml', withSecret('secrets: { PATH: warehouse-password }'))
  await expect(evaluateProject(folder)).rejects.toMatchObject({
    details: {
      faults: [
        {
          pointer: '/pipeline/sums/steps/1/secrets/PATH',
          detail: expect.stringMatching(/^line 33: step sum: the platform gives a step this variable/),
        },
      ],
    },
  })
})

test('every fault of a definition is named with its line', async () => {
  write(
    'plimsoll.project.yaml',
    guideExample().replace('type: int64', 'type: int65').replace('name: sums', 'name: Sums'),
  )
  await expect(evaluateProject(folder)).rejects.toMatchObject({
    code: 'definitions.invalid',
    details: {
      faults: [
        { pointer: '/dataset/amounts/schema/x/type', detail: expect.stringMatching(/^line 7: /) },
        { pointer: '/model/Sums/name', detail: expect.stringMatching(/^line 14: /) },
      ],
    },
  })
})

test('what a step of YAML says wrongly is named with its step and its line', async () => {
  write(
    'plimsoll.project.yaml',
    `project: p
definitions:
  - kind: pipeline
    name: p
    params: { n: { type: int, default: abc } }
    steps:
      - { key: a, kind: command, params: { argv: [] } }
      - { key: b, kind: command, params: { argv: echo hi } }
      - { key: c, kind: command, params: { argv: [echo, 5], cwd: x } }
      - { key: d, kind: command }
      - { key: e, kind: python, params: { scirpt: a.py } }
      - { key: f, kind: python, params: { script: a.py, files: a.py, args: x } }
      - { key: g, kind: python, params: { script: a.py }, after: a }
`,
  )
  await expect(evaluateProject(folder)).rejects.toMatchObject({
    details: {
      faults: [
        ['params/n/default', 'line 5: expected a whole number (type int), found "abc"'],
        ['steps/0/params/argv', 'line 7: step a: expected a program and its arguments, found an empty list'],
        ['steps/1/params/argv', 'line 8: step b: expected a list, a program and its arguments, found "echo hi"'],
        ['steps/2/params', 'line 9: step c: takes no "cwd": it takes argv'],
        ['steps/2/params/argv/1', 'line 9: step c: expected a text or a param, found 5'],
        ['steps/3/params/argv', 'line 10: step d: is missing: expected a list, a program and its arguments'],
        [
          'steps/4/params/script',
          "line 11: step e: is missing: expected the path of the step's program; there is only scirpt",
        ],
        ['steps/5/params/args', 'line 12: step f: expected a list, the arguments of the script, found "x"'],
        ['steps/5/params/files', 'line 12: step f: expected a list of paths or patterns, found "a.py"'],
        ['steps/6/after', 'line 13: step g: expected a list, found "a"'],
      ].map(([at, detail]) => ({ pointer: `/pipeline/p/${at}`, detail })),
    },
  })
  write('plimsoll.project.yaml', 'definitions: []\nproject: Bad')
  await expect(evaluateProject(folder)).rejects.toMatchObject({
    details: { faults: [{ pointer: '/project', detail: expect.stringMatching(/^line 2: "Bad" is no name/) }] },
  })
})

test('a script that is not there is named with its step and its line, and so is what the server refuses', async () => {
  write('plimsoll.project.yaml', guideExample())
  await expect(collectProject(folder)).rejects.toThrow(
    /^Cannot take "steps\/sum.py" as code of step sum \(line 25\): there is no such file$/,
  )
  write('steps/sum.py', 'print(1)\n')
  const refusal = (detail: string, ...pointers: string[]) =>
    new ClientError({
      status: 400,
      code: 'pipelines.invalid',
      detail,
      faults: pointers.map((pointer) => ({ pointer, detail: 'why' })),
    })
  const { placed } = await collectProject(folder)
  const faultsOf = (failure: ClientError) => (placed(failure) as ClientError).faults.map(({ detail }) => detail)
  expect(faultsOf(refusal('Cannot declare pipeline "sums"', '/steps/1/inputs/amounts', '/steps/0', '/steps'))).toEqual([
    'line 31: why',
    'line 22: why',
    'line 22: why',
  ])
  expect(faultsOf(refusal('Cannot declare dataset "amounts": it has faults', '/expectations/0/kwargs/a~1b'))).toEqual([
    'line 11: why',
  ])
  expect(faultsOf(refusal('Cannot declare pipeline "other"', '/steps/0'))).toEqual(['why'])
  const other = refusal('Cannot plan', '/definitions/1')
  expect(placed(other)).toBe(other)
})

test.each<[string, string | Uint8Array, string, RegExp]>([
  ['nothing', '', 'definitions.bad_yaml', /expected project/],
  ['a list', '- 1', 'definitions.bad_yaml', /expected project/],
  ['a text', 'hello', 'definitions.bad_yaml', /expected project/],
  ['no project', 'definitions: []', 'definitions.bad_yaml', /name of the project/],
  ['a project that is a number', 'project: 5', 'definitions.bad_yaml', /line 1: expected the name/],
  ['a name that no project has', 'project: ../x', 'definitions.invalid', /Cannot read/],
  ['an unknown member', 'project: a\ndefinitons: []', 'definitions.bad_yaml', /line 2: is not one of/],
  ['definitions that are no list', 'project: a\ndefinitions: {}', 'definitions.bad_yaml', /line 2: expected a list/],
  ['a definition without a kind', 'project: a\ndefinitions:\n  - name: b', 'definitions.invalid', /Cannot read/],
  ['a definition without a name', 'project: a\ndefinitions:\n  - kind: model', 'definitions.invalid', /Cannot read/],
  ['a definition that is nothing', 'project: a\ndefinitions:\n  -', 'definitions.invalid', /Cannot read/],
  ['a definition that is a number', 'project: a\ndefinitions: [5]', 'definitions.invalid', /Cannot read/],
  ['the same name twice', 'project: a\nproject: b', 'definitions.bad_yaml', /line 2: Map keys must be unique/],
  ['a broken line', 'project: a\n  definitions: [', 'definitions.bad_yaml', /line \d: /],
  ['two documents', 'project: a\n---\nproject: b', 'definitions.bad_yaml', /line \d+: /],
  ['a tag', 'project: a\ndefinitions: !!js/function "x"', 'definitions.bad_yaml', /line 2: Unresolved tag/],
  ['an alias', 'project: &a b\ndefinitions: [*a]', 'definitions.bad_yaml', /line 2: an alias \(\*a\)/],
  ['an alias to itself', 'project: a\ndefinitions: &a [*a]', 'definitions.bad_yaml', /line 2/],
  [
    'a merge of an alias',
    'project: a\ndefinitions:\n  - &x {kind: model}\n  - <<: *x',
    'definitions.bad_yaml',
    /alias/,
  ],
  ['__proto__', 'project: a\n__proto__: {action: polluted}', 'definitions.bad_yaml', /is not one of/],
  [
    '20,000 brackets',
    `project: a\ndefinitions: ${'['.repeat(20_000)}`,
    'definitions.bad_yaml',
    /nests too deeply|line 2/,
  ],
  [
    '20,000 brackets that close',
    `project: a\ndefinitions: ${'['.repeat(20_000)}${']'.repeat(20_000)}`,
    'definitions.bad_yaml',
    /nests too deeply/,
  ],
  ['1 MB', `project: a # ${'x'.repeat(1 << 20)}`, 'definitions.yaml_too_large', /larger than 262144/],
  ['bytes that are no UTF-8', Buffer.from([0x70, 0xff, 0xfe]), 'definitions.bad_yaml', /not UTF-8/],
  ['a NUL', 'project: "a\\0b"', 'definitions.invalid', /Cannot read/],
])('a YAML project of %s is refused', async (_name, text, code, message) => {
  writeFileSync(join(folder, 'plimsoll.project.yaml'), text)
  const refused = await evaluateProject(folder).then(
    () => undefined,
    (error: { code: string; message: string }) => error,
  )
  expect(refused).toMatchObject({ code, message: expect.stringMatching(message) })
})

test('an alias bomb ends at its first alias', async () => {
  const levels = Array.from(
    { length: 9 },
    (_, level) =>
      `${'abcdefghi'[level]}: &${'abcdefghi'[level]} [${level === 0 ? 'x' : Array.from({ length: 9 }, () => `*${'abcdefghi'[level - 1]}`).join(', ')}]`,
  )
  write('plimsoll.project.yaml', levels.join('\n'))
  await expect(evaluateProject(folder)).rejects.toThrow(/line 2: an alias/)
})

test('two project files are refused, and so is a folder that is none', async () => {
  write('plimsoll.project.yaml', 'project: a')
  write('plimsoll.project.yml', 'project: a')
  await expect(evaluateProject(folder)).rejects.toMatchObject({ code: 'definitions.two_projects' })
  await expect(evaluateProject(join(folder, 'absent'))).rejects.toMatchObject({ code: 'definitions.no_folder' })
  await expect(evaluateProject(join(folder, 'plimsoll.project.yml'))).rejects.toMatchObject({
    code: 'definitions.no_folder',
  })
})
