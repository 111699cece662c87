import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { checkImports } from './house/imports.ts'
import { checkText } from './house/text.ts'

const ROOT = resolve(import.meta.dirname, '..')
const SOURCES = [
  'packages/sdk/src',
  'packages/platform/src',
  'packages/platform/migrations',
  'packages/console/src',
  'bench',
  'tests',
  'scripts',
  'examples',
]

function readSources(): Map<string, string> {
  const files = new Map<string, string>()
  const walk = (directory: string) => {
    for (const entry of readdirSync(join(ROOT, directory), { withFileTypes: true })) {
      const path = `${directory}/${entry.name}`
      if (entry.isDirectory()) {
        if (!['node_modules', 'dist', '.plimsoll', '__pycache__'].includes(entry.name)) walk(path)
      } else if (/\.(ts|tsx|mts|mjs)$/.test(entry.name)) files.set(path, readFileSync(join(ROOT, path), 'utf8'))
    }
  }
  for (const directory of SOURCES) walk(directory)
  return files
}

const sources = readSources()

test('imports follow the table of the house', () => {
  expect(checkImports(sources)).toEqual([])
})

test('text follows the rules of the house', () => {
  expect(checkText(sources)).toEqual([])
})

/** Each rule is seen to fail once on a planted violation: a rule that cannot fail protects nothing. */
const PLANTED: [string, Record<string, string>, string][] = [
  [
    'a domain imports a later one',
    {
      'packages/platform/src/datasets/a.ts': "import { x } from '../registry/index.ts'",
      'packages/platform/src/registry/index.ts': '',
    },
    'datasets may not import registry',
  ],
  [
    'a deep import into another domain',
    {
      'packages/platform/src/registry/a.ts': "import { x } from '../tracking/filter.ts'",
      'packages/platform/src/tracking/filter.ts': '',
    },
    'only index.ts',
  ],
  [
    'the gateway reaches the database',
    {
      'packages/platform/src/processes/gateway.ts': "import { x } from '../serving/gateway/a.ts'",
      'packages/platform/src/serving/gateway/a.ts': "import { x } from '../../inference/b.ts'",
      'packages/platform/src/inference/b.ts': "import { x } from '../kernel/db/index.ts'",
      'packages/platform/src/kernel/db/index.ts': '',
    },
    'reaches kernel/db',
  ],
  ['the sdk imports a library', { 'packages/sdk/src/a.ts': "import fastify from 'fastify'" }, 'fastify'],
  [
    'an adapter imports another',
    {
      'packages/platform/src/adapters/s3/a.ts': "import { x } from '../files/b.ts'",
      'packages/platform/src/adapters/files/b.ts': '',
    },
    'adapters/s3 may not import adapters/files',
  ],
  [
    'statistics does I/O through a library',
    { 'packages/platform/src/statistics/a.ts': "import { z } from 'zod'" },
    'zod',
  ],
  [
    'a cycle between files',
    {
      'packages/platform/src/datasets/a.ts': "import { b } from './b.ts'",
      'packages/platform/src/datasets/b.ts': "import { a } from './a.ts'",
    },
    'cycle',
  ],
  ['a computed import', { 'packages/platform/src/datasets/a.ts': 'await import(name)' }, 'computed'],
]

test.each(PLANTED)('checkImports() finds: %s', (_name, files, expected) => {
  expect(checkImports(new Map(Object.entries(files))).join('\n')).toContain(expected)
})

const PLANTED_TEXT: [string, string, string, string][] = [
  ['the wall clock outside the kernel', 'packages/platform/src/datasets/a.ts', 'const t = Date' + '.now()', 'clock'],
  ['chance outside the kernel', 'packages/platform/src/datasets/a.ts', 'const t = Math' + '.random()', 'clock'],
  ['the environment outside config', 'packages/platform/src/datasets/a.ts', 'process' + '.env.HOME', 'kernel/config'],
  ['console outside the cli', 'packages/platform/src/datasets/a.ts', 'console' + ".log('x')", 'console'],
  ['a banned file name', 'packages/platform/src/datasets/dataset-utils.ts', '', 'banned'],
  ['raw SQL', 'packages/platform/src/datasets/a.ts', 'sql' + '.raw(text)', 'raw SQL'],
  ['an unfinished place', 'packages/platform/src/datasets/a.ts', '// TO' + 'DO later', 'unfinished'],
  ['a file over the limit', 'packages/platform/src/datasets/a.ts', '\n'.repeat(601), '600'],
  [
    'an sdk export without a doc comment',
    'packages/sdk/src/define/a.ts',
    'export function defineThing() {}',
    'doc comment',
  ],
]

test.each(PLANTED_TEXT)('checkText() finds: %s', (_name, path, text, expected) => {
  expect(checkText(new Map([[path, text]])).join('\n')).toContain(expected)
})

test('every workspace has the same version', () => {
  const versions = [
    'package.json',
    'packages/sdk/package.json',
    'packages/platform/package.json',
    'packages/console/package.json',
  ].map((path) => (JSON.parse(readFileSync(join(ROOT, path), 'utf8')) as { version: string }).version)
  expect(new Set(versions).size).toBe(1)
})

test('relative links of the documents lead somewhere', () => {
  const broken: string[] = []
  const visit = (directory: string) => {
    for (const entry of readdirSync(join(ROOT, directory), { withFileTypes: true })) {
      const path = join(directory, entry.name)
      if (entry.isDirectory() && !['node_modules', '.git', 'dist', '.plimsoll'].includes(entry.name)) visit(path)
      else if (entry.name.endsWith('.md')) {
        for (const match of readFileSync(join(ROOT, path), 'utf8').matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)/g)) {
          const target = resolve(ROOT, dirname(path), match[1]!)
          try {
            readdirSync(dirname(target)).includes(target.split('/').at(-1)!) ||
              broken.push(`${path}: ${relative(ROOT, target)}`)
          } catch {
            broken.push(`${path}: ${relative(ROOT, target)}`)
          }
        }
      }
    }
  }
  visit('.')
  expect(broken).toEqual([])
})
