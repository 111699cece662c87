import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeEach, expect, test } from 'vitest'
import { digestBytes } from '../../kernel/digest.ts'
import { collectProject } from './content.ts'

const root = mkdtempSync(join(tmpdir(), 'plimsoll-content-'))
let made = 0
let folder: string
beforeEach(() => {
  made += 1
  folder = join(root, String(made))
  mkdirSync(folder)
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

function write(path: string, text: string): void {
  const full = join(folder, path)
  mkdirSync(dirname(full), { recursive: true })
  writeFileSync(full, text)
}

/** A project with one pipeline of these steps; JSON is YAML. */
function project(...steps: object[]): void {
  const definitions = [{ kind: 'pipeline', name: 'train', steps }]
  write('plimsoll.project.yaml', JSON.stringify({ project: 'flights', definitions }))
}
const python = (params: object) => ({ key: 'fit', kind: 'python', params })
const filesOf = async () => {
  const { content, blobs } = await collectProject(folder)
  const files = content.bundles['train']!['fit']!.files
  for (const file of files) expect(blobs.get(file.digest)!.length).toBe(file.sizeBytes)
  return files.map((file) => file.path)
}
const git = (...args: string[]) =>
  execFileSync('git', ['-C', folder, '-c', 'user.name=t', '-c', 'user.email=t@example.org', ...args], {
    encoding: 'utf8',
    stdio: 'pipe',
  }).trim()

test('collectProject() takes the script, the lock and what the globs match, by digest, each once', async () => {
  project(python({ script: 'steps/train.py', lock: 'steps/a.lock', files: ['steps/**', 'more/*.py'] }))
  write('steps/train.py', 'print(1)')
  write('steps/a.lock', 'x==1 --hash=sha256:aa')
  write('steps/deep/data.json', '{}')
  write('steps/__pycache__/train.pyc', 'cache')
  write('steps/byte.pyc', 'cache')
  write('steps/.gitignore', '*')
  write('more/one.py', '1')
  write('more/one.txt', '1')
  write('other.py', '1')
  chmodSync(join(folder, 'steps/train.py'), 0o755)
  expect(await filesOf()).toEqual(['more/one.py', 'steps/a.lock', 'steps/deep/data.json', 'steps/train.py'])
  const { content, blobs } = await collectProject(folder)
  const bundle = content.bundles['train']!['fit']!
  expect(bundle.files.at(-1)).toEqual({
    path: 'steps/train.py',
    digest: digestBytes(Buffer.from('print(1)')),
    sizeBytes: 8,
    executable: true,
  })
  expect(blobs.size).toBe(4)
  expect((await collectProject(folder)).content.bundles).toEqual(content.bundles)
  write('steps/train.py', 'print(2)')
  expect((await collectProject(folder)).content.bundles['train']!['fit']!.digest).not.toBe(bundle.digest)
})

test.each([
  ['a file that is not there', { script: 'absent.py' }, 'definitions.bad_file'],
  ['a folder as script', { script: 'steps' }, 'definitions.bad_file'],
  ['a link', { script: 'link.py' }, 'definitions.bad_file'],
  ['a file behind a linked folder', { script: 'out/secret.py' }, 'definitions.bad_file'],
  ['a script above the project', { script: '../secret.py' }, 'definitions.invalid'],
  ['a pattern above the project', { script: 'a.py', files: ['../*.py'] }, 'definitions.bad_glob'],
  ['a pattern that steps up later', { script: 'a.py', files: ['steps/../../*.py'] }, 'definitions.bad_glob'],
  ['an absolute pattern', { script: 'a.py', files: ['/etc/*'] }, 'definitions.bad_glob'],
  ['a pattern of many stars', { script: 'a.py', files: ['*a*a*a*a*x'] }, 'definitions.bad_glob'],
  ['a pattern of a range', { script: 'a.py', files: ['{1..999999}.py'] }, 'definitions.bad_glob'],
  ['a pattern of repetitions', { script: 'a.py', files: ['+(a|aa).py'] }, 'definitions.bad_glob'],
  [
    'a pattern of many choices',
    { script: 'a.py', files: ['{a,b,c,d,e}{a,b,c,d,e}{a,b,c,d,e}'] },
    'definitions.bad_glob',
  ],
  [
    'a pattern of choices within choices',
    { script: 'a.py', files: [`${'{{},1,2,3,4,5,6,7,8,9}'.repeat(5)}.py`] },
    'definitions.bad_glob',
  ],
  ['what Git keeps', { script: 'a.py', files: ['.git/config'] }, 'definitions.bad_file'],
  ['a script with a step to where it is', { script: './a.py' }, 'definitions.invalid'],
  ['byte code', { script: 'a.py', files: ['./__pycache__/a.pyc'] }, 'definitions.bad_file'],
])('collectProject() refuses %s', async (_title, params, code) => {
  writeFileSync(join(root, 'secret.py'), 'secret')
  project(python(params))
  write('a.py', '1')
  mkdirSync(join(folder, 'steps'))
  symlinkSync('a.py', join(folder, 'link.py'))
  symlinkSync('..', join(folder, 'out'))
  write('.git/config', 'https://user:secret@host')
  write('__pycache__/a.pyc', '1')
  await expect(collectProject(folder)).rejects.toMatchObject({ kind: 'invalid', code })
})

test('collectProject() warns of a pattern that no file matches, and refuses a file that is not there', async () => {
  write('a.py', '1')
  write('lib/b.pyc', '1')
  project(python({ script: 'a.py', files: ['a.py', 'lib/*', 'step/*.py'] }))
  expect((await collectProject(folder)).warnings).toEqual([
    'pipeline "train", files of step fit (line 1): no file matches "lib/*"',
    'pipeline "train", files of step fit (line 1): no file matches "step/*.py"',
  ])
  project(python({ script: 'a.py', files: ['.//a.py', 'lib/./c.py'] }))
  write('lib/c.py', '1')
  expect(await filesOf()).toEqual(['a.py', 'lib/c.py'])
  project(python({ script: 'a.py', files: ['lib'] }))
  await expect(collectProject(folder)).rejects.toMatchObject({
    code: 'definitions.bad_file',
    message: 'Cannot take "lib" as code of step fit (line 1): there is no such file',
    details: { action: 'For all of a folder write FOLDER/**' },
  })
})

test.each([
  [
    'with hashes',
    '--index-url https://example.org/\n# by pip-compile\nnumpy==2.4.1 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n',
  ],
  ['of nothing', '# nothing\n\n'],
])('collectProject() takes a lock %s', async (_title, text) => {
  project(python({ script: 'a.py', lock: 'lock.txt' }))
  write('a.py', '')
  write('lock.txt', text)
  expect(await filesOf()).toEqual(['a.py', 'lock.txt'])
})

test.each([
  'pandas==3.1.1 --hash=sha256:aa\nnumpy==2.4.1\n',
  'pandas==3.1.1 \\\n --hash=sha256:aa\r\nnumpy==2.4.1 # --hash=sha256:aa',
])('collectProject() refuses a lock whose package has no hash', async (text) => {
  project(python({ script: 'a.py', lock: 'lock.txt' }))
  write('a.py', '')
  write('lock.txt', text)
  await expect(collectProject(folder)).rejects.toMatchObject({
    kind: 'invalid',
    code: 'definitions.bad_lock',
    message: 'Cannot take "lock.txt" as the lock of step fit (line 1): numpy==2.4.1 has no hash',
  })
})

test('collectProject() refuses a file that is too large for code', async () => {
  project(python({ script: 'a.py' }))
  write('a.py', '')
  truncateSync(join(folder, 'a.py'), (64 << 20) + 1)
  await expect(collectProject(folder)).rejects.toMatchObject({ kind: 'too_large', code: 'definitions.file_too_large' })
})

test('collectProject() refuses a step of more than 10,000 files', async () => {
  project(python({ script: 'a.py', files: ['data/*'] }))
  write('a.py', '')
  mkdirSync(join(folder, 'data'))
  for (let index = 0; index < 10_001; index += 1) writeFileSync(join(folder, 'data', String(index)), '')
  const taken = collectProject(folder).then(({ blobs }) => blobs.size)
  await expect(taken).rejects.toMatchObject({ kind: 'too_large', code: 'definitions.too_many_files' })
})

test('collectProject() bundles a TypeScript step into one module, whose name the step then has', async () => {
  project({ key: 'fit', kind: 'typescript', params: { script: 'steps/make.mts' } })
  write('steps/make.mts', "import { one } from './one.ts'\nconst n: number = one\nprocess.stdout.write(String(n))")
  write('steps/one.ts', 'export const one: number = 41 + 1')
  expect(await filesOf()).toEqual(['steps/make.mts.mjs'])
  const { content, blobs } = await collectProject(folder)
  const [definition] = content.definitions
  expect(definition).toMatchObject({ steps: [{ params: { script: 'steps/make.mts.mjs' } }] })
  const code = blobs.get(content.bundles['train']!['fit']!.files[0]!.digest)!.toString('utf8')
  expect(code).toContain('41 + 1')
  expect(code).not.toContain(': number')
  write('steps/one.ts', 'export const two = 2')
  await expect(collectProject(folder)).rejects.toMatchObject({
    kind: 'invalid',
    code: 'definitions.bundle_failed',
    message: expect.stringContaining('steps/make.mts'),
  })
})

test('collectProject() tells dataset steps where the project lies, unless they say so', async () => {
  const step = (key: string, params: object) => ({
    key,
    kind: 'dataset-version',
    params: { dataset: 'flights', ...params },
  })
  project(step('a', {}), step('b', { root: '/data' }), { key: 'c', kind: 'command', params: { argv: ['true'] } })
  const { content } = await collectProject(folder)
  expect(content.bundles).toEqual({ train: {} })
  expect(content.definitions[0]).toMatchObject({
    steps: [{ params: { root: folder } }, { params: { root: '/data' } }, { params: { argv: ['true'] } }],
  })
})

test('collectProject() tells no folder to steps whose dataset has an absolute path', async () => {
  const dataset = (name: string, path: string) => ({
    kind: 'dataset',
    name,
    source: { format: 'csv', path },
    schema: { a: { type: 'int32' } },
  })
  const asked = [{ dataset: 'inside' }, { dataset: 'elsewhere' }, { dataset: 'elsewhere', path: 'b.csv' }]
  const steps = asked.map((params, index) => ({ key: `s${index}`, kind: 'dataset-version', params }))
  const definitions = [
    dataset('inside', 'a.csv'),
    dataset('elsewhere', '/data/a.csv'),
    { kind: 'pipeline', name: 'p', steps },
  ]
  write('plimsoll.project.yaml', JSON.stringify({ project: 'flights', definitions }))
  const { content } = await collectProject(folder)
  const [, , pipeline] = content.definitions as [unknown, unknown, { steps: { params: unknown }[] }]
  expect(pipeline.steps.map(({ params }) => params)).toEqual([
    { dataset: 'inside', root: folder },
    { dataset: 'elsewhere' },
    { dataset: 'elsewhere', path: 'b.csv', root: folder },
  ])
})

test('collectProject() names the commit, and whether the folder differs from it', async () => {
  write(
    'plimsoll.project.yaml',
    JSON.stringify({ project: 'flights', definitions: [{ kind: 'model', name: 'delay' }] }),
  )
  expect((await collectProject(folder)).content).toMatchObject({
    source: 'flights',
    origin: { commit: null, isDirty: false },
  })
  git('init', '-q')
  git('add', '.')
  git('commit', '-q', '-m', 'first')
  const commit = git('rev-parse', 'HEAD')
  expect((await collectProject(folder)).content.origin).toEqual({ commit, isDirty: false })
  write('more.txt', 'not in the commit')
  expect((await collectProject(folder)).content.origin).toEqual({ commit, isDirty: true })
})

test.each([
  ['a folder', (path: string) => mkdirSync(path)],
  ['a link in a circle', (path: string) => symlinkSync('plimsoll.project.yaml', path)],
])('collectProject() says that %s is no project file', async (_title, make) => {
  make(join(folder, 'plimsoll.project.yaml'))
  await expect(collectProject(folder)).rejects.toMatchObject({
    kind: 'invalid',
    code: 'definitions.bad_file',
    message: expect.stringContaining('is no regular file'),
  })
})

test('collectProject() of a folder without a project says what to do', async () => {
  await expect(collectProject(folder)).rejects.toMatchObject({
    kind: 'not_found',
    code: 'definitions.no_project',
    details: { action: expect.stringContaining('plimsoll init') },
  })
})

test('collectProject() says that a script is not there, and which one was probably meant', async () => {
  project(python({ script: 'steps/slo.py' }))
  write('steps/slow.py', '')
  write('steps/other.py', '')
  const message = 'Cannot take "steps/slo.py" as code of step fit (line 1): there is no such file'
  const details = { action: 'Did you mean steps/slow.py?' }
  await expect(collectProject(folder)).rejects.toMatchObject({ code: 'definitions.bad_file', message, details })
  project(python({ script: 'elsewhere/slow.py' }))
  await expect(collectProject(folder)).rejects.toMatchObject({
    message: expect.stringMatching(/no such file$/),
    details: {},
  })
})
