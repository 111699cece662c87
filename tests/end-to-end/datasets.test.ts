import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { openTestPlatform, type TestPlatform } from './platform.fixture.ts'

// A whole platform with its processes; a loaded machine takes its time.
vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 })

const projectOf = (max: number) => `
import { allowFailed, command, csv, datasetVersion, defineDataset, definePipeline, defineProject, expectColumn, int32, pinned, string, typescript } from '@plimsoll/sdk'
export const project = defineProject({ name: 'copies' })
const schema = { a: int32() }
export const copied = defineDataset({ name: 'copied', source: csv('data/copied.csv'), schema, storage: 'copy' })
export const placed = defineDataset({ name: 'placed', source: csv('data/placed.csv'), schema })
export const judged = defineDataset({ name: 'judged', source: csv('data/judged.csv'), schema, expectations: [expectColumn('a').between(0, ${max})] })
const read = (name, source, beside = () => {}) => definePipeline({ name: 'read-' + name, params: { text: string(), round: string() },
  build: (p) => {
    beside(p)
    typescript('steps/read.mts', { inputs: { data: source() },
      params: { text: p.param('text'), round: p.param('round') }, outputs: { end: 'json' } })
  } })
export const readCopied = read('copied', () => pinned(copied, 1))
export const readPlaced = read('placed', () => pinned(placed, 1))
export const readNewest = read('judged', () => judged)
export const readMade = read('made', () => datasetVersion(judged), (p) => command(['true', p.param('round')], { key: 'beside' }))
export const readAllowed = read('judged-allowed', () => allowFailed(pinned(judged, 1)))
export const readMadeAllowed = read('made-allowed', () => allowFailed(datasetVersion(judged)))
`
/** Fails unless it reads what it was told it would. */
const READ = `import { readFileSync, writeFileSync } from 'node:fs'
const step = JSON.parse(readFileSync(process.env.PLIMSOLL_STEP!, 'utf8'))
const found = step.inputs.data.files.map((file) => readFileSync(file, 'utf8')).join('')
if (found !== step.params.text) {
  console.error('found', found)
  process.exit(7)
}
writeFileSync(step.outputs.end.path, '{}')
`
/** Not the same bytes, or what is stored of the one would serve the other. */
const TEXT = { copied: 'a\n1\n2\n', placed: 'a\n5\n6\n', judged: 'a\n8\n' }

let platform: TestPlatform
let source: (name: string) => string

beforeAll(async () => {
  platform = await openTestPlatform()
  source = (name) => join(platform.project, `data/${name}.csv`)
  platform.commit(
    {
      '.gitignore': 'data/\n',
      'data/copied.csv': TEXT.copied,
      'data/placed.csv': TEXT.placed,
      'data/judged.csv': TEXT.judged,
      'plimsoll.project.mts': projectOf(1),
      'steps/read.mts': READ,
    },
    'copies',
  )
  await platform.value(['apply', platform.project])
  for (const name of ['copied', 'placed']) await platform.value(['dataset', 'add', name, '--root', platform.project])
})
afterAll(() => platform?.close())

let rounds = 0
/** Of a round before, the cache has what ended well. */
function start(name: string, text: string, { round = `round-${++rounds}`, force = [] as readonly string[] } = {}) {
  const params = ['--param', `text=${text}`, '--param', `round=${round}`]
  return platform.run(['run', 'start', `read-${name}`, ...params, ...force.flatMap((step) => ['--force', step])])
}

/** Runs a step that reads version 1 and expects this in it: 'read', or why not. */
async function read(name: string, text: string = TEXT[name as keyof typeof TEXT]): Promise<string> {
  const { status, out, err } = await start(name, text)
  if (status === 0) return 'read'
  return `${status}: ${out} ${err}`
}

test('a copied version outlives its source and reads the same; one in place does not', async () => {
  expect([await read('copied'), await read('placed')]).toEqual(['read', 'read'])
  expect(await read('copied', 'a\n3\n')).toContain('found a\\n1\\n2')
  rmSync(source('copied'))
  rmSync(source('placed'))
  expect([await read('copied'), await read('placed')]).toEqual(['read', expect.stringContaining('the file is missing')])
})

test('a copied version stays as it was when its source changes, and the change is a version of its own', async () => {
  for (const name of ['copied', 'placed']) writeFileSync(source(name), 'a\n7\n8\n')
  expect([await read('copied'), await read('placed')]).toEqual(['read', expect.stringContaining('Cannot use file')])
  await platform.value(['dataset', 'add', 'copied', '--root', platform.project, '--reference', '1'])
  expect(await read('copied')).toBe('read')
  const show = (version: string) =>
    platform.value<{ profileDigest: string; profile: { binsFrom?: string } }>(['dataset', 'show', 'copied', version])
  const [first, second] = [await show('1'), await show('2')]
  expect([first.profile.binsFrom, second.profile.binsFrom]).toEqual([undefined, first.profileDigest])
  const { versions } = await platform.value<{ versions: { version: number; digest: string }[] }>([
    'dataset',
    'versions',
    'copied',
  ])
  expect(versions.map(({ version }) => version)).toEqual([2, 1])
  expect(versions[0]!.digest).not.toBe(versions[1]!.digest)
})

test('a version that failed its expectations is kept, and read only where that is allowed', async () => {
  const added = await platform.run(['dataset', 'add', 'judged', '--root', platform.project])
  expect(added.status).toBe(3)
  const refused = expect.stringContaining('Cannot use version 1 of dataset \\"judged\\": 1 of 2 expectations failed')
  const { judged: text } = TEXT
  expect([await read('judged'), await read('made', text)]).toEqual([refused, refused])
  expect([await read('judged-allowed', text), await read('made-allowed', text)]).toEqual(['read', 'read'])
})

/** States of the steps of a run of `read-made`. */
async function statesOfMade(options: Parameters<typeof start>[2] = {}): Promise<Record<string, string>> {
  const { out } = await start('made', TEXT.judged, options)
  const { graph } = JSON.parse(out.trim().split('\n').at(-1)!) as { graph: { key: string; state: string }[] } // a run
  return Object.fromEntries(graph.map(({ key, state }) => [key, state]))
}

test('a version that failed is refused to its reader alone, be it made in this run or taken from the cache', async () => {
  const alone = { beside: 'succeeded', read: 'failed' }
  expect(await statesOfMade({ force: ['version-judged'] })).toEqual({ ...alone, 'version-judged': 'succeeded' })
  expect(await statesOfMade()).toEqual({ ...alone, 'version-judged': 'cached' })
})

test('a step in the cache stands for the suite that judged last, and its reader in the cache for one that passed', async () => {
  for (const [max, version, beside, read] of [
    [9, 'succeeded', 'succeeded', 'succeeded'],
    [1, 'succeeded', 'cached', 'failed'],
    [1, 'cached', 'cached', 'failed'],
    [9, 'succeeded', 'cached', 'cached'],
  ] as const) {
    writeFileSync(join(platform.project, 'plimsoll.project.mts'), projectOf(max))
    await platform.value(['apply', platform.project])
    const states = await statesOfMade({ round: 'the same' })
    expect(states, `between(0, ${max})`).toEqual({ 'version-judged': version, beside, read })
  }
})
