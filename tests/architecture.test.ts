import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { checkImports } from './house/imports.ts'
import { readSources } from './house/sources.ts'
import { checkText } from './house/text.ts'

const ROOT = resolve(import.meta.dirname, '..')
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
  [
    'the model host reaches the database',
    {
      'packages/platform/src/processes/model-host.ts': "import { x } from '../inference/a.ts'",
      'packages/platform/src/inference/a.ts': "import { x } from '../kernel/db/index.ts'",
      'packages/platform/src/kernel/db/index.ts': '',
    },
    'model-host.ts reaches kernel/db: packages/platform/src/kernel/db/index.ts through packages/platform/src/inference/a.ts',
  ],
  [
    'the gateway imports features that need a database',
    {
      'packages/platform/src/serving/gateway/a.ts': "import { x } from '../../features/index.ts'",
      'packages/platform/src/features/index.ts': '',
    },
    'gateway may not import features',
  ],
  [
    'the gateway reaches into the online features',
    {
      'packages/platform/src/serving/gateway/a.ts': "import { x } from '../../features/online/layout.ts'",
      'packages/platform/src/features/online/layout.ts': '',
    },
    'gateway may not import features',
  ],
  [
    'a command of a step reaches the database',
    {
      'packages/platform/src/processes/step-launcher.ts': "await import('../features/a.ts')",
      'packages/platform/src/features/a.ts': "import { x } from '../kernel/db/index.ts'",
      'packages/platform/src/kernel/db/index.ts': '',
    },
    'step-launcher.ts reaches kernel/db',
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
  [
    'a lower part of the kernel imports a higher one',
    { 'packages/platform/src/kernel/db/a.ts': "import { x } from '../ledger/index.ts'" },
    'kernel/db may not import kernel/ledger',
  ],
  [
    'a lower part without a database imports a higher one',
    { 'packages/platform/src/kernel/errors.ts': "import { x } from './http/index.ts'" },
    'kernel/errors may not import kernel/http',
  ],
  [
    'a part without a database names a type of one with',
    { 'packages/platform/src/kernel/config/a.ts': "import type { Context } from '../db/context.ts'" },
    'kernel/config may not import kernel/db',
  ],
  [
    'a part of the kernel without a place in the order',
    { 'packages/platform/src/kernel/new.ts': "import { x } from './errors.ts'" },
    'no place in the order',
  ],
  [
    'the kernel imports a value of the sdk that is no schema',
    { 'packages/platform/src/kernel/auth/a.ts': "import { openClient } from '@plimsoll/sdk/client'" },
    'kernel-db may not import @plimsoll/sdk/client, but for its types',
  ],
  [
    'the kernel hides a value among types of the sdk',
    { 'packages/platform/src/kernel/blob/content.ts': "import { type A, b } from '@plimsoll/sdk/seams'" },
    'kernel-free may not import @plimsoll/sdk/seams, but for its types',
  ],
  [
    'an adapter imports the client',
    { 'packages/platform/src/adapters/lmdb/a.ts': "import { openClient } from '@plimsoll/sdk/client'" },
    'adapters/lmdb may not import @plimsoll/sdk/client',
  ],
  [
    'an adapter imports a value of the wire',
    { 'packages/platform/src/adapters/lmdb/a.ts': "import { count } from '@plimsoll/sdk/wire'" },
    'adapters/lmdb may not import @plimsoll/sdk/wire',
  ],
  [
    'an adapter reads the configuration',
    { 'packages/platform/src/adapters/lmdb/a.ts': "import { x } from '../../kernel/config/index.ts'" },
    'adapters/lmdb may not import kernel/config',
  ],
  [
    'the console imports the platform',
    { 'packages/console/src/a.ts': "import { x } from 'plimsoll'" },
    'plimsoll is no entry',
  ],
  [
    'an entry that the sdk does not have',
    { 'packages/console/src/a.ts': "import { x } from '@plimsoll/sdk/define'" },
    '@plimsoll/sdk/define is no entry',
  ],
  [
    'the sdk by a path',
    { 'packages/platform/src/datasets/a.ts': "import { x } from '../../../sdk/src/wire/count.ts'" },
    'by an entry of its package only',
  ],
  [
    'statistics imports the sdk',
    { 'packages/platform/src/statistics/a.ts': "import type { x } from '@plimsoll/sdk'" },
    'statistics may not import @plimsoll/sdk',
  ],
  [
    'an example reaches into a package',
    { 'examples/one/src/a.ts': "import { x } from '../../../packages/platform/src/kernel/errors.ts'" },
    'by their entries only',
  ],
  [
    'a composition root imports a library',
    { 'packages/platform/src/processes/a.ts': "import { z } from 'zod'" },
    'processes may not import the package zod',
  ],
  [
    'a composition root loads an adapter at once',
    { 'packages/platform/src/processes/a.ts': "import { x } from '../adapters/s3/index.ts'" },
    'but lazily',
  ],
  [
    'a command loads a process at once',
    { 'packages/platform/src/cli/a.ts': "import { x } from '../processes/up.ts'" },
    'but lazily',
  ],
  [
    'a domain imports the server',
    { 'packages/platform/src/tracking/a.ts': "import Fastify from 'fastify'" },
    'tracking may not import the package fastify',
  ],
  ['a computed import', { 'packages/platform/src/datasets/a.ts': 'await import(name)' }, 'computed'],
  [
    'the kernel imports a domain',
    {
      'packages/platform/src/kernel/db/a.ts': "import { x } from '../../datasets/index.ts'",
      'packages/platform/src/datasets/index.ts': '',
    },
    'kernel-db may not import datasets',
  ],
  [
    'the kernel without a database imports a domain',
    { 'packages/platform/src/kernel/http/a.ts': "import { x } from '../../datasets/index.ts'" },
    'kernel-free may not import datasets',
  ],
  [
    'the kernel imports the sdk by a path',
    { 'packages/platform/src/kernel/db/a.ts': "import type { x } from '../../../../sdk/src/wire/count.ts'" },
    'kernel-db may import sdk by an entry of its package only',
  ],
  [
    'the sdk imports the kernel by a path',
    { 'packages/sdk/src/a.ts': "import type { x } from '../../platform/src/kernel/errors.ts'" },
    'sdk may not import kernel-free',
  ],
  [
    'a command imports a domain',
    { 'packages/platform/src/cli/a.ts': "import { x } from '../registry/index.ts'" },
    'cli may not import registry',
  ],
  [
    'inference imports a domain',
    { 'packages/platform/src/inference/a.ts': "import { x } from '../serving/index.ts'" },
    'inference may not import serving',
  ],
  [
    'inference imports the database',
    { 'packages/platform/src/inference/a.ts': "import type { x } from '../kernel/db/index.ts'" },
    'inference may not import kernel-db',
  ],
  [
    'a migration imports a domain',
    { 'packages/platform/migrations/0001-a.ts': "import { x } from '../src/datasets/index.ts'" },
    'migrations may not import datasets',
  ],
  [
    'a domain imports an adapter',
    { 'packages/platform/src/datasets/a.ts': "import type { x } from '../adapters/duckdb/index.ts'" },
    'datasets may not import adapters/duckdb',
  ],
  [
    'a domain imports a process',
    { 'packages/platform/src/datasets/a.ts': "await import('../processes/up.ts')" },
    'datasets may not import processes',
  ],
  [
    'a domain imports a migration',
    { 'packages/platform/src/datasets/a.ts': "import { x } from '../../migrations/all.ts'" },
    'datasets may not import migrations',
  ],
  [
    'an adapter imports the driver of another',
    { 'packages/platform/src/adapters/postgres/a.ts': "import { x } from '@electric-sql/pglite'" },
    'adapters/postgres may not import the package @electric-sql/pglite',
  ],
  [
    'an adapter without a driver imports one',
    { 'packages/platform/src/adapters/files/a.ts': "import type { x } from 'pg'" },
    'adapters/files may not import the package pg',
  ],
  [
    'inference imports a library',
    { 'packages/platform/src/inference/a.ts': "import { z } from 'zod'" },
    'inference may not import the package zod',
  ],
  [
    'a command imports a library of the server',
    { 'packages/platform/src/cli/a.ts': "import { sql } from 'kysely'" },
    'cli may not import the package kysely',
  ],
  [
    'a part without a database imports the query builder',
    { 'packages/platform/src/kernel/http/a.ts': "import type { Kysely } from 'kysely'" },
    'kernel-free may not import the package kysely',
  ],
  [
    'statistics imports the kernel',
    { 'packages/platform/src/statistics/a.ts': "import type { x } from '../kernel/errors.ts'" },
    'statistics may not import kernel-free',
  ],
  [
    'the console imports the platform by a path',
    { 'packages/console/src/a.ts': "import type { x } from '../../platform/src/kernel/errors.ts'" },
    'console may not import kernel-free',
  ],
  [
    'the platform imports a bench',
    { 'packages/platform/src/datasets/a.ts': "import { x } from '../../../../bench/chain.ts'" },
    'datasets may not import outside',
  ],
  [
    'a migration imports the sdk',
    { 'packages/platform/migrations/0001-a.ts': "import { x } from '@plimsoll/sdk/wire'" },
    'migrations may not import @plimsoll/sdk/wire',
  ],
  [
    'a command imports a seam',
    { 'packages/platform/src/cli/a.ts': "import type { x } from '@plimsoll/sdk/seams'" },
    'cli may not import @plimsoll/sdk/seams',
  ],
  [
    'a domain reaches into inference',
    { 'packages/platform/src/tracking/a.ts': "import { x } from '../inference/pool.ts'" },
    'inference but through its index.ts',
  ],
  [
    'the gateway names the database',
    { 'packages/platform/src/serving/gateway/a.ts': "import type { x } from '../../kernel/db/index.ts'" },
    'gateway may not import kernel-db',
  ],
  [
    'serving reaches into the gateway',
    { 'packages/platform/src/serving/control/a.ts': "import { x } from '../gateway/predict.ts'" },
    'serving may not import gateway',
  ],
  [
    'a domain imports a command',
    { 'packages/platform/src/datasets/a.ts': "import { x } from '../cli/index.ts'" },
    'datasets may not import cli',
  ],
  [
    'an adapter that is no database imports its seam',
    { 'packages/platform/src/adapters/duckdb/a.ts': "import type { x } from '../../kernel/db/backend.ts'" },
    'adapters/duckdb may not import kernel/db',
  ],
  [
    'a database imports a value beside its seam',
    { 'packages/platform/src/adapters/postgres/a.ts': "import { x } from '../../kernel/db/backend.ts'" },
    'adapters/postgres may not import kernel/db',
  ],
  [
    'the server makes a context',
    { 'packages/platform/src/kernel/http/a.ts': "import { x } from '../db/context.ts'" },
    'kernel/http may not import kernel/db',
  ],
  [
    'a part with a database imports a driver',
    { 'packages/platform/src/kernel/db/a.ts': "import { x } from 'pg'" },
    'kernel-db may not import the package pg',
  ],
  [
    'pipelines import the server',
    { 'packages/platform/src/pipelines/a.ts': "import { x } from 'fastify'" },
    'pipelines may not import the package fastify',
  ],
  [
    'definitions import the server',
    { 'packages/platform/src/definitions/a.ts': "import { x } from 'fastify'" },
    'definitions may not import the package fastify',
  ],
  [
    'a domain imports what another has for its need',
    { 'packages/platform/src/datasets/a.ts': "import { x } from 'croner'" },
    'datasets may not import the package croner',
  ],
  [
    'a migration imports a library',
    { 'packages/platform/migrations/0001-a.ts': "import { z } from 'zod'" },
    'migrations may not import the package zod',
  ],
  [
    'the gateway imports the query builder',
    { 'packages/platform/src/serving/gateway/a.ts': "import type { Kysely } from 'kysely'" },
    'gateway may not import the package kysely',
  ],
  [
    'the console imports a library that is not its own',
    { 'packages/console/src/a.ts': "import { sql } from 'kysely'" },
    'console may not import the package kysely',
  ],
  ['a computed import of the sdk', { 'packages/sdk/src/a.ts': 'await import(`./` + name)' }, 'computed'],
  [
    'a computed import where the project is asked for',
    { 'packages/platform/src/definitions/client/evaluate.ts': 'await import(name)' },
    'computed',
  ],
  [
    'a require that no import shows',
    { 'packages/platform/src/datasets/a.ts': "createRequire(import.meta.url)('../registry/index.ts')" },
    'a require hides',
  ],
  [
    'a require where the project is loaded',
    { 'packages/platform/src/definitions/client/evaluation.ts': "createRequire(import.meta.url)('zod')" },
    'a require hides',
  ],
]

test.each(PLANTED)('checkImports() finds: %s', (_name, files, expected) => {
  expect(checkImports(new Map(Object.entries(files))).join('\n')).toContain(expected)
})

test('checkImports() lets the gateway import the face of the online features', () => {
  const gateway = "import { x } from '../../features/online/index.ts'"
  const sources = {
    'packages/platform/src/serving/gateway/a.ts': gateway,
    'packages/platform/src/features/online/index.ts': '',
  }
  expect(checkImports(new Map(Object.entries(sources)))).toEqual([])
})

const UNFINISHED = ['TO', 'DO'].join('') // in parts, or the rule finds itself here

const PLANTED_TEXT: [string, string, string, string][] = [
  ['the wall clock outside the kernel', 'packages/platform/src/datasets/a.ts', 'const t = Date.now()', 'clock'],
  ['the wall clock as a function', 'packages/sdk/src/a.ts', 'const now = Date.now', 'clock'],
  ['an instant of now', 'packages/console/src/rooms/a.tsx', 'const t = new Date()', 'clock'],
  ['an instant of now without parentheses', 'packages/platform/src/datasets/a.ts', 'const t = new Date', 'clock'],
  ['a second clock in the console', 'packages/console/src/rooms/now.tsx', 'const t = Date.now()', 'clock'],
  ['a clock of the process', 'packages/platform/src/datasets/a.ts', 'const t = process.hrtime.bigint()', 'clock'],
  ['chance outside the kernel', 'packages/platform/src/datasets/a.ts', 'const t = Math.random()', 'clock'],
  ['chance in the sdk', 'packages/sdk/src/client.ts', 'const id = crypto.randomUUID()', 'clock'],
  ['chance that fills', 'packages/platform/src/datasets/a.ts', 'randomFillSync(bytes)', 'clock'],
  ['the environment outside config', 'packages/platform/src/datasets/a.ts', 'process.env.HOME', 'kernel/config'],
  ['the environment by its name', 'packages/sdk/src/a.ts', "process['env'].HOME", 'kernel/config'],
  ['the environment of the sdk', 'packages/sdk/src/client.ts', 'process.env.HOME', 'kernel/config'],
  ['the environment imported', 'packages/sdk/src/a.ts', "import { env } from 'node:process'", 'kernel/config'],
  ['console outside the cli', 'packages/platform/src/datasets/a.ts', "console.log('x')", 'console'],
  ['console in the console', 'packages/console/src/main.tsx', 'console.table(rows)', 'console belongs'],
  ['console in the sdk', 'packages/sdk/src/client.ts', "console.warn('x')", 'console belongs'],
  ...'service utils helpers types manager common misc base impl util helper type services managers'
    .split(' ')
    .flatMap((word): [string, string, string, string][] => [
      [`a file name of "${word}"`, `packages/platform/src/datasets/dataset-${word}.ts`, '', 'banned'],
      [`a file named "${word}"`, `packages/console/src/${word}.tsx`, '', 'banned'],
    ]),
  ['raw SQL', 'packages/platform/src/datasets/a.ts', 'sql.raw(text)', 'raw SQL'],
  ['an unfinished place', 'packages/platform/src/datasets/a.ts', `// ${UNFINISHED} later`, 'unfinished'],
  ['an unfinished place in a block', 'bench/a.ts', `/* ${UNFINISHED} */`, 'unfinished'],
  ['an unfinished place in a long comment', 'tests/a.test.ts', `/**\n * ${UNFINISHED}: later\n */`, 'unfinished'],
  ['an enum that is exported', 'packages/sdk/src/a.ts', 'export const enum Kind {}', 'enums'],
  ['a namespace', 'packages/platform/src/a.ts', 'declare namespace Kind {}', 'namespaces'],
  ['a test that runs alone', 'packages/sdk/src/a.test.ts', "test.only('x', run)", 'held back'],
  ['a table that runs alone', 'packages/sdk/src/a.test.ts', 'test.concurrent.only.each(rows)', 'held back'],
  ['a test that is not written', 'packages/sdk/src/a.test.ts', "it.todo('x')", 'held back'],
  ['a file over the limit', 'packages/platform/src/datasets/a.ts', '\n'.repeat(601), '600'],
  [
    'an sdk export without a doc comment',
    'packages/sdk/src/define/a.ts',
    'export function defineThing() {}',
    'doc comment',
  ],
  [
    'a wire schema without a doc comment',
    'packages/sdk/src/wire/a.ts',
    '/** A thing. */\nexport const thing = 1\nexport type Thing = number',
    'Thing has no doc comment',
  ],
  ['a class of the client without a doc comment', 'packages/sdk/src/client.ts', 'export class A {}', 'A has no'],
  ['a declaration in a comment', 'packages/sdk/src/a.ts', '// const rows = 1', 'a.ts:1: commented-out'],
  ['an assignment in a comment', 'scripts/a.mjs', '// rows.count = 1', 'commented-out'],
  ['a call in a comment behind code', 'bench/a.ts', 'open() // close()\n// and so on', 'commented-out'],
  ['a return in a comment', 'packages/platform/src/datasets/a.ts', '// return rows.at(0)', 'commented-out'],
  ['a choice in a comment', 'tests/a.test.ts', '// if (rows) {\n//   await close()\n// }', 'commented-out'],
  ['a loop in a comment', 'bench/a.ts', '// for (const row of rows) void row', 'commented-out'],
  ['a throw in a comment', 'bench/a.ts', "// throw new Error('x')", 'commented-out'],
  ['an import in a comment', 'packages/sdk/src/a.ts', "// import { a } from './b.ts'", 'commented-out'],
  ['an import in a comment of a script', 'scripts/a.mjs', "// import './b.mjs'", 'commented-out'],
  ['an export in a comment', 'packages/sdk/src/a.ts', "// export * from './b.ts'", 'commented-out'],
  ['an element in a comment', 'packages/console/src/a.tsx', '// <Rows of={rows} />', 'commented-out'],
  ['code after words', 'examples/one/src/a.ts', 'open()\n\n// not yet:\n// close()', 'a.ts:4: commented-out'],
  ['code before a word to a tool', 'bench/a.ts', '// close()\n// biome-ignore lint/x/y: so\nopen()', 'commented-out'],
  ...[
    ['a body of an endpoint that is built in place', 'body: z.strictObject({ name })'],
    ['a response of an endpoint that is built in place', 'response: z.array(named)'],
    ['a response that its file declares', 'response: held'],
    ['a response from beside it', 'response: other'],
    ['a response that extends what its file declares', 'response: held.extend({ id })'],
    ['a response that holds a contract', 'response: page(named)'],
    ['a response that a member of the file has', 'response: held.shape.name'],
  ].map(([name, member]): [string, string, string, string] => [
    name!,
    'packages/platform/src/datasets/routes.ts',
    `import { named } from '@plimsoll/sdk/wire'\nimport { other } from './other.ts'\nconst held = z.object({})\nendpoint({\n  ${member},\n})`,
    `routes.ts:5: the ${member!.split(':')[0]} of an endpoint is a contract of sdk/wire`,
  ]),
]

test.each(PLANTED_TEXT)('checkText() finds: %s', (_name, path, text, expected) => {
  expect(checkText(new Map([[path, text]])).join('\n')).toContain(expected)
})

test.each([
  '// word',
  '// Windows: rename(2), which may fail',
  '// sets: close(2)',
  '// rows, columns',
  '// (rows, columns)',
  '// [a(1), 2]',
  '// { rows, columns }',
  '// return early',
  '// `rows = 1`',
  '// rows === columns',
  '// count(rows) = 3',
  '// rows = 1 is one row; the rest follows',
  '// the rest (of it) is what\n// close() leaves.',
  '// biome-ignore lint/x/y: a = 1',
  '// @ts-expect-error = 1',
  '/// <reference types="x" />',
  "export const text = '// const rows = 1'",
])('checkText() lets pass: %s', (text) => {
  expect(checkText(new Map([['bench/a.ts', text]]))).toEqual([])
})

test.each(["'nothing'", 'named', 'named.extend({ id: z.int() })', 'named.extend({}).extend({ id: z.int() })'])(
  'checkText() lets a response of an endpoint be %s',
  (response) => {
    const text = `import { named } from '@plimsoll/sdk/wire'\nendpoint({ body: named, query: z.object({}), response: ${response} })`
    expect(checkText(new Map([['packages/platform/src/datasets/routes.ts', text]]))).toEqual([])
  },
)

test('every workspace has the same version', () => {
  const versions = [
    'package.json',
    'packages/sdk/package.json',
    'packages/platform/package.json',
    'packages/console/package.json',
  ].map((path) => (JSON.parse(readFileSync(join(ROOT, path), 'utf8')) as { version: string }).version)
  expect(new Set(versions).size).toBe(1)
})

test('no dependency runs a script when it is installed, and each that has one is named', () => {
  const read = <T>(path: string) => JSON.parse(readFileSync(join(ROOT, path), 'utf8')) as T // as npm wrote them
  const { packages } = read<{ packages: Record<string, { hasInstallScript?: boolean }> }>('package-lock.json')
  const scripted = Object.keys(packages).filter((path) => packages[path]?.hasInstallScript)
  const { allowScripts } = read<{ allowScripts: Record<string, boolean> }>('package.json')
  const refused = scripted.map((path) => [path.split('node_modules/').at(-1)!, false])
  expect(allowScripts).toEqual(Object.fromEntries(refused))
  expect(readFileSync(join(ROOT, '.npmrc'), 'utf8').split('\n')).toContain('ignore-scripts=true')
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
