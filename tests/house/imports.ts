import { dirname, join, normalize } from 'node:path'

const IMPORT =
  /(?:^|[;\n])\s*(?:import|export)\s+(type\s+)?(?:[^'";]*?\sfrom\s+)?['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)/g
const COMPUTED = /\bimport\(\s*(?!['"])[^)]/

const DOMAINS = [
  'datasets',
  'features',
  'tracking',
  'pipelines',
  'registry',
  'delivery',
  'serving',
  'monitoring',
  'lineage',
  'definitions',
]
const KERNEL_FREE = [
  'ids',
  'clock',
  'log',
  'errors',
  'digest',
  'canonical',
  'count-text',
  'sibling-module',
  'directory-lock',
  'set-aside',
  'config',
  'telemetry',
  'http',
  'auth/verify',
  'blob/content',
]

interface Place {
  /** `sdk`, `kernel-free`, `kernel-db`, `statistics`, `inference`, a domain, `gateway`, `adapters/x`, `cli`, `processes`, `migrations`, `console`, `outside`. */
  zone: string
}

function placeOf(path: string): Place {
  if (path.startsWith('packages/sdk/')) return { zone: 'sdk' }
  if (path.startsWith('packages/console/')) return { zone: 'console' }
  if (path.startsWith('packages/platform/migrations/')) return { zone: 'migrations' }
  const inside = path.match(/^packages\/platform\/src\/(.*)$/)?.[1]
  if (inside === undefined) return { zone: 'outside' }
  if (inside.startsWith('kernel/')) {
    const rest = inside.slice('kernel/'.length).replace(/\.ts$/, '')
    return {
      zone: KERNEL_FREE.some((name) => rest === name || rest.startsWith(`${name}/`) || rest.startsWith(`${name}-`))
        ? 'kernel-free'
        : 'kernel-db',
    }
  }
  if (inside.startsWith('serving/gateway/')) return { zone: 'gateway' }
  if (inside.startsWith('adapters/')) return { zone: `adapters/${inside.split('/')[1]}` }
  return { zone: inside.split('/')[0]! }
}

const NPM: Record<string, readonly string[]> = {
  sdk: ['zod'],
  'kernel-free': ['fastify', 'zod', 'pino', 'yaml', 'prom-client', 'jose', '@opentelemetry/*'],
  'kernel-db': ['kysely', 'zod', 'fastify', 'pg-boss', 'openid-client'],
  statistics: [],
  inference: ['@bufbuild/protobuf', '@bufbuild/protobuf/*'],
  gateway: ['zod', '@grpc/grpc-js'],
  pipelines: ['kysely', 'zod', 'croner', 'fastify', 'yaml'],
  definitions: ['kysely', 'zod', 'fastify', 'yaml', 'esbuild'],
  cli: ['commander', 'zod'],
  processes: ['fastify', 'kysely', 'zod'],
  console: [
    'react',
    'react-dom',
    'react-dom/client',
    'vite',
    '@vitejs/plugin-react',
    '@mantine/*',
    '@tanstack/*',
    'echarts',
    'echarts/*',
    'zod',
  ],
  migrations: ['kysely'],
}
const NPM_DOMAIN = ['kysely', 'zod', 'fastify']

/** The one driver of each adapter. */
const DRIVERS: Record<string, readonly string[]> = {
  'adapters/pglite': ['@electric-sql/pglite'],
  'adapters/postgres': ['pg'],
  'adapters/s3': ['@aws-sdk/client-s3'],
  'adapters/duckdb': ['@duckdb/node-api'],
  'adapters/lmdb': ['lmdb'],
  'adapters/onnx': ['onnxruntime-node', 'onnxruntime-node/dist/binding.js'],
}

function npmAllowed(zone: string, specifier: string): boolean {
  const allowed =
    NPM[zone] ??
    (zone.startsWith('adapters/') ? (DRIVERS[zone] ?? []) : DOMAINS.includes(zone) ? NPM_DOMAIN : undefined)
  if (allowed === undefined) return true
  return allowed.some((name) => specifier === name || (name.endsWith('/*') && specifier.startsWith(name.slice(0, -1))))
}

/** Why `from` may not import `to`, or undefined when it may. */
function refusal(from: string, to: string, isType: boolean): string | undefined {
  const a = placeOf(from).zone
  const b = placeOf(to).zone
  if (a === b || a === 'outside') return undefined
  const no = `${a} may not import ${b}`
  if (b === 'outside') return `${no}: ${to}`
  if (b === 'sdk') return a.startsWith('kernel') && !isType && !to.includes('/wire/') ? undefined : undefined
  if (a === 'sdk' || a === 'statistics' || a === 'console') return no
  if (a.startsWith('adapters/')) {
    if (b === 'kernel-free') return undefined
    return to.endsWith('kernel/db/backend.ts') && (a === 'adapters/pglite' || a === 'adapters/postgres')
      ? undefined
      : no
  }
  if (a === 'processes') return undefined
  if (a === 'migrations') return b.startsWith('kernel') ? undefined : no
  if (b === 'migrations' || b.startsWith('adapters/') || b === 'processes')
    return a === 'cli' && b === 'processes' ? undefined : no
  if (a === 'kernel-free') return isType && b === 'kernel-db' ? undefined : no
  if (a === 'kernel-db') return b === 'kernel-free' ? undefined : no
  if (a === 'cli') return b.startsWith('kernel') || to.endsWith('/definitions/client/index.ts') ? undefined : no
  if (a === 'inference') return b === 'kernel-free' || b === 'statistics' ? undefined : no
  if (b.startsWith('kernel') || b === 'statistics' || b === 'inference') {
    if (b === 'inference' && !to.endsWith('/inference/index.ts'))
      return `${no} but through its index.ts: ${to} (only index.ts is public)`
    return a === 'gateway' && b === 'kernel-db' ? no : undefined
  }
  if (a === 'serving' && b === 'gateway') return to.endsWith('serving/gateway/index.ts') ? undefined : no
  if (a === 'gateway') return to.endsWith('features/online/index.ts') ? undefined : no
  const [left, right] = [DOMAINS.indexOf(a), DOMAINS.indexOf(b === 'gateway' ? 'serving' : b)]
  if (left < 0 || right < 0 || right >= left) return no
  if (!/^packages\/platform\/src\/[a-z]+\/(?:(?:online|gateway|control|ci|ct|cd)\/)?index\.ts$/.test(to))
    return `${from} imports ${to}: only index.ts of a domain is public`
  return undefined
}

function isTest(path: string): boolean {
  return /\.(test|fixture)\.tsx?$/.test(path)
}

/** Every violation of the import table of the house style, cycles and the gateway's closure included. */
export function checkImports(sources: ReadonlyMap<string, string>): string[] {
  const problems: string[] = []
  const edges = new Map<string, string[]>()
  for (const [path, text] of sources) {
    const code = text.replace(/\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*$/gm, '')
    if (COMPUTED.test(code) && path.startsWith('packages/platform/src/') && !isTest(path) && !allowedComputed(path))
      problems.push(`${path}: a computed import specifier hides from this check`)
    const targets: string[] = []
    for (const match of code.matchAll(IMPORT)) {
      const specifier = match[2] ?? match[3]!
      const isType = match[1] !== undefined
      if (specifier.startsWith('node:')) continue
      if (specifier.startsWith('.')) {
        const target = normalize(join(dirname(path), specifier))
        if (!isTest(path)) {
          const why = refusal(path, target, isType)
          if (why) problems.push(why.includes(path) ? why : `${path}: ${why}`)
        }
        if (sources.has(target) && !isType) targets.push(target)
      } else if (specifier.startsWith('@plimsoll/') || specifier === 'plimsoll') {
        if (placeOf(path).zone === 'statistics') problems.push(`${path}: statistics imports nothing but itself`)
      } else if (!isTest(path) && path.startsWith('packages/') && !npmAllowed(placeOf(path).zone, specifier)) {
        problems.push(`${path}: ${placeOf(path).zone} may not import the package ${specifier}`)
      }
    }
    edges.set(path, targets)
  }
  return [...problems, ...findCycles(edges), ...closureProblems(edges)]
}

/** `plan` evaluates the user's project file, whose path is an argument. */
function allowedComputed(path: string): boolean {
  return path.includes('/definitions/')
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

function closureProblems(edges: ReadonlyMap<string, readonly string[]>): string[] {
  const problems: string[] = []
  for (const entry of ['packages/platform/src/processes/gateway.ts', 'packages/platform/src/processes/model-host.ts']) {
    const seen = new Map<string, string | undefined>([[entry, undefined]])
    const queue = [entry]
    for (let node = queue.shift(); node !== undefined; node = queue.shift()) {
      if (node.includes('/kernel/db/') || placeOf(node).zone === 'kernel-db')
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
