import { globSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { SETTINGS } from './index.ts'

const PLATFORM = resolve(import.meta.dirname, '../..')

/** A port that is kept for what is not served yet, and a consent, which the rules between settings judge. */
const NEVER_READ = ['server.grpcPort', 'server.acceptPgliteLoss']

/** Sources beside this folder, without comments: a setting that is only talked of is read by nothing. */
function readSources(): string[] {
  return globSync('**/*.ts', { cwd: PLATFORM })
    .filter((path) => !/\.(?:test|fixture)\.ts$/.test(path) && !path.startsWith('kernel/config/'))
    .map((path) => readFileSync(join(PLATFORM, path), 'utf8').replaceAll(/\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*$/gm, ''))
}

/** Whether a text takes the setting from its section: by its path, by destructuring, or where the section has its type. */
function reads(text: string, path: readonly string[]): boolean {
  const key = path.at(-1)!
  const section = path.at(-2) ?? 'config'
  const taken = new RegExp(`\\b${section}\\??\\.${key}\\b`)
  const destructured = new RegExp(`\\{[^{}]*\\b${key}\\b[^{}]*\\}\\s*[=:][^\\n]*\\b${section}\\b`)
  const typed = new RegExp(`\\.${key}\\b|\\{[^{}]*\\b${key}\\b[^{}]*\\}\\s*=[^=>]`)
  return taken.test(text) || destructured.test(text) || (text.includes(`Config['${section}']`) && typed.test(text))
}

test('every setting is read outside of this folder: none can say what nothing does', () => {
  const sources = readSources()
  const unread = SETTINGS.filter(({ path }) => !sources.some((text) => reads(text, path)))
  expect(unread.map(({ path }) => path.join('.'))).toEqual(NEVER_READ)
})

test('reads() tells what takes a setting from what only has its name', () => {
  const path = ['gateway', 'deadlineMs']
  const takes = ['f(config.gateway.deadlineMs)', 'const { queueMax, deadlineMs } = config.gateway']
  const names = ['gateway.live(); deadlineMs = 3', 'const { deadlineMs } = request', "x: Config['http'] = y.deadlineMs"]
  expect([...takes, ...names].map((text) => reads(text, path))).toEqual([true, true, false, false, false])
})
