import { dirname, join, normalize } from 'node:path'
import { npmAllowed, placeOf, refusal, SDK_ENTRIES } from './import-table.ts'

const IMPORT =
  /(?:^|[;\n])\s*(?:import|export)\s+(type\s+)?(?:[^'";]*?\sfrom\s+)?['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)/g
const COMPUTED = /\bimport\(\s*(?!['"])[^)]/
/** What loads a module, and is no import: `createRequire` and the like. */
const REQUIRE = /\b(createRequire|getBuiltinModule|dlopen)\b/
/** `evaluation` loads the user's project file, whose path is an argument; `evaluate` asks where our packages lie. */
const EVALUATION = 'packages/platform/src/definitions/client/evaluation.ts'
const EVALUATE = 'packages/platform/src/definitions/client/evaluate.ts'

function isTest(path: string): boolean {
  return /\.(test|fixture)\.tsx?$/.test(path)
}

/** Every violation of the import table of the house style, cycles and the closures without a database included. */
export function checkImports(sources: ReadonlyMap<string, string>): string[] {
  const problems: string[] = []
  const edges = new Map<string, string[]>()
  for (const [path, text] of sources) {
    const code = text.replace(/\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*$/gm, '')
    problems.push(...hidden(path, code))
    const targets: string[] = []
    for (const match of code.matchAll(IMPORT)) {
      const specifier = match[2] ?? match[3]!
      const isType = match[1] !== undefined
      if (specifier.startsWith('node:')) continue
      const target = targetOf(path, specifier)
      if (target !== undefined && sources.has(target) && !isType) targets.push(target)
      if (isTest(path)) continue
      const why = target
        ? refusal({ from: path, to: target, isType, isLazy: match[3] !== undefined })
        : packageRefusal(path, specifier, isType)
      if (why) problems.push(why.includes(path) ? why : `${path}: ${why}`)
    }
    edges.set(path, targets)
  }
  return [...problems, ...findCycles(edges), ...closureProblems(edges)]
}

/** The file of this repository that a specifier names, or undefined: it names another package. */
function targetOf(path: string, specifier: string): string | undefined {
  return specifier.startsWith('.') ? normalize(join(dirname(path), specifier)) : SDK_ENTRIES[specifier]
}

function packageRefusal(path: string, specifier: string, isType: boolean): string | undefined {
  if (!path.startsWith('packages/')) return undefined
  if (/^(plimsoll|@plimsoll\/[^/]*)(\/|$)/.test(specifier)) return `${specifier} is no entry of a package of ours`
  const { zone } = placeOf(path)
  return npmAllowed(zone, specifier, isType) ? undefined : `${zone} may not import the package ${specifier}`
}

/** What this check could not see. */
function hidden(path: string, code: string): string[] {
  if (!path.startsWith('packages/') || isTest(path)) return []
  const problems: string[] = []
  if (COMPUTED.test(code) && path !== EVALUATION)
    problems.push(`${path}: a computed import specifier hides from this check`)
  if (REQUIRE.test(code) && path !== EVALUATE) problems.push(`${path}: a require hides from this check`)
  return problems
}

function findCycles(edges: ReadonlyMap<string, readonly string[]>): string[] {
  const state = new Map<string, 'open' | 'done'>()
  const problems: string[] = []
  const visit = (node: string, trail: string[]) => {
    if (state.get(node) === 'done') return
    if (state.get(node) === 'open') {
      problems.push(`cycle: ${[...trail.slice(trail.indexOf(node)), node].join(' → ')}`)
      return
    }
    state.set(node, 'open')
    for (const next of edges.get(node) ?? []) visit(next, [...trail, node])
    state.set(node, 'done')
  }
  for (const node of edges.keys()) if (!isTest(node)) visit(node, [])
  return problems
}

/** Processes without a database, and what each may read of the kernel above it: parts that know it by its types alone. */
const CLOSURES: Readonly<Record<string, readonly string[]>> = {
  gateway: [],
  'model-host': [],
  'step-launcher': ['step-kind', 'step-file'],
}

function closureProblems(edges: ReadonlyMap<string, readonly string[]>): string[] {
  const problems: string[] = []
  for (const [name, allowed] of Object.entries(CLOSURES)) {
    const entry = `packages/platform/src/processes/${name}.ts`
    const seen = new Map<string, string | undefined>([[entry, undefined]])
    const queue = [entry]
    for (let node = queue.shift(); node !== undefined; node = queue.shift()) {
      const { zone, part = '' } = placeOf(node)
      if (zone === 'kernel-db' && !allowed.includes(part))
        problems.push(`${entry} reaches kernel/db: ${node} through ${seen.get(node)}`)
      for (const next of edges.get(node) ?? []) {
        if (!seen.has(next)) {
          seen.set(next, node)
          queue.push(next)
        }
      }
    }
  }
  return problems
}
