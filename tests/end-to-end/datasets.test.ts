import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { openTestPlatform, type TestPlatform } from './platform.fixture.ts'

// A whole platform with its processes; a loaded machine takes its time.
vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 })

const PROJECT = `
import { csv, defineDataset, definePipeline, defineProject, int32, pinned, string, typescript } from '@plimsoll/sdk'
export const project = defineProject({ name: 'copies' })
const schema = { a: int32() }
export const copied = defineDataset({ name: 'copied', source: csv('data/copied.csv'), schema, storage: 'copy' })
export const placed = defineDataset({ name: 'placed', source: csv('data/placed.csv'), schema })
const read = (data) => (p) => typescript('steps/read.mts', { inputs: { data: pinned(data, 1) },
  params: { text: p.param('text'), round: p.param('round') }, outputs: { end: 'json' } })
const params = { text: string(), round: string() }
export const readCopied = definePipeline({ name: 'read-copied', params, build: read(copied) })
export const readPlaced = definePipeline({ name: 'read-placed', params, build: read(placed) })
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
const TEXT = { copied: 'a\n1\n2\n', placed: 'a\n5\n6\n' }

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
      'plimsoll.project.mts': PROJECT,
      'steps/read.mts': READ,
    },
    'copies',
  )
  await platform.value(['apply', platform.project])
  for (const name of ['copied', 'placed']) await platform.value(['dataset', 'add', name, '--root', platform.project])
})
afterAll(() => platform?.close())

let rounds = 0
/** Runs a step that reads version 1 and expects this in it: 'read', or why not. */
async function read(name: keyof typeof TEXT, text = TEXT[name]): Promise<string> {
  rounds += 1
  const params = ['--param', `text=${text}`, '--param', `round=round-${rounds}`]
  const { status, out, err } = await platform.run(['run', 'start', `read-${name}`, ...params])
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
