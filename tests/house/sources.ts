import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

const ROOT = resolve(import.meta.dirname, '../..')
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

/** Every source of ours, by its path in the repository. */
export function readSources(): Map<string, string> {
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
