/** The import table of the house: who may import whom. Paths are relative to the repository. */

/** The domains: a later one may import an earlier one. */
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

/** Parts of the kernel: a layer may import itself and those above it in this list. The first three need no database. */
const KERNEL_LAYERS = [
  [
    'ids',
    'clock',
    'log',
    'log-level',
    'errors',
    'digest',
    'canonical',
    'count-text',
    'instant',
    'csv-header',
    'sibling-module',
    'directory-lock',
    'folder',
    'set-aside',
    'redaction',
    'secrets',
    'shell-word',
    'regular-file',
    'own-member',
    'errno-text',
    'nearest',
  ],
  ['config'],
  ['telemetry', 'http', 'auth/verify', 'blob/content'],
  ['db'],
  ['blob'],
  ['events'],
  ['jobs'],
  ['ledger'],
  ['auth'],
  ['dead-letters'],
  ['step-kind', 'step-file'],
]
const FREE_LAYERS = 3

/** What an adapter may use of the kernel: the words of its errors, and what makes, reads or names bytes, files, instants and words of a shell. */
const ADAPTER_KERNEL = [
  'errors',
  'count-text',
  'csv-header',
  'clock',
  'log',
  'ids',
  'digest',
  'blob/content',
  'sibling-module',
  'directory-lock',
  'shell-word',
  'regular-file',
  'errno-text',
]

interface Place {
  /** `sdk`, `kernel-free`, `kernel-db`, `statistics`, `inference`, a domain, `gateway`, `adapters/x`, `cli`, `processes`, `migrations`, `console`, `outside`. */
  readonly zone: string
  /** Of the kernel: its part, and the part's layer (-1: it has none yet). */
  readonly part?: string
  readonly layer?: number
}

export function placeOf(path: string): Place {
  if (path.startsWith('packages/sdk/')) return { zone: 'sdk' }
  if (path.startsWith('packages/console/')) return { zone: 'console' }
  if (path.startsWith('packages/platform/migrations/')) return { zone: 'migrations' }
  const inside = path.match(/^packages\/platform\/src\/(.*)$/)?.[1]
  if (inside === undefined) return { zone: 'outside' }
  if (inside.startsWith('kernel/')) return kernelPlace(inside.slice('kernel/'.length).replace(/\.ts$/, ''))
  if (inside.startsWith('serving/gateway/')) return { zone: 'gateway' }
  if (inside.startsWith('adapters/')) return { zone: `adapters/${inside.split('/')[1]}` }
  return { zone: inside.split('/')[0]! }
}

function kernelPlace(rest: string): Place {
  const nested = ['auth/verify', 'blob/content'].find((name) => rest === name || rest.startsWith(`${name}/`))
  const part = nested ?? rest.split('/')[0]!
  const layer = KERNEL_LAYERS.findIndex((parts) => parts.includes(part))
  return { zone: layer >= 0 && layer < FREE_LAYERS ? 'kernel-free' : 'kernel-db', part, layer }
}

const NPM: Record<string, readonly string[]> = {
  sdk: ['zod'],
  'kernel-free': ['fastify', 'zod', 'pino', 'yaml', 'prom-client', 'jose', '@opentelemetry/*'],
  'kernel-db': ['kysely', 'zod', 'pg-boss', 'openid-client'],
  statistics: [],
  inference: ['@bufbuild/protobuf', '@bufbuild/protobuf/*'],
  gateway: ['zod', '@grpc/grpc-js'],
  pipelines: ['kysely', 'zod', 'croner'],
  definitions: ['kysely', 'zod', 'yaml', 'esbuild'],
  // zod reads the answers of the server where the SDK has no schema of them.
  cli: ['commander', 'zod'],
  processes: [],
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
const NPM_DOMAIN = ['kysely', 'zod']
/** Who may name the types of the server's request and reply, which the kernel's http hands to handlers. */
const NPM_TYPES: Record<string, readonly string[]> = {
  'kernel-db': ['fastify'],
  tracking: ['fastify'],
  serving: ['fastify'],
  processes: ['fastify'],
}

/** The one driver of each adapter. */
const DRIVERS: Record<string, readonly string[]> = {
  'adapters/pglite': ['@electric-sql/pglite'],
  'adapters/postgres': ['pg'],
  'adapters/s3': ['@aws-sdk/client-s3'],
  'adapters/duckdb': ['@duckdb/node-api'],
  'adapters/lmdb': ['lmdb'],
  'adapters/onnx': ['onnxruntime-node', 'onnxruntime-node/dist/binding.js'],
}

/** Whether a file of `zone` may import the package. */
export function npmAllowed(zone: string, specifier: string, isType: boolean): boolean {
  const allowed =
    NPM[zone] ??
    (zone.startsWith('adapters/') ? (DRIVERS[zone] ?? []) : DOMAINS.includes(zone) ? NPM_DOMAIN : undefined)
  if (allowed === undefined || (isType && NPM_TYPES[zone]?.includes(specifier))) return true
  return allowed.some((name) => specifier === name || (name.endsWith('/*') && specifier.startsWith(name.slice(0, -1))))
}

/** The entries of `@plimsoll/sdk`, as its package.json exports them. */
export const SDK_ENTRIES: Readonly<Record<string, string>> = {
  '@plimsoll/sdk': 'packages/sdk/src/index.ts',
  '@plimsoll/sdk/wire': 'packages/sdk/src/wire/index.ts',
  '@plimsoll/sdk/seams': 'packages/sdk/src/seams/index.ts',
  '@plimsoll/sdk/client': 'packages/sdk/src/client.ts',
}

export interface Import {
  readonly from: string
  readonly to: string
  /** Nothing of it is left when it runs. */
  readonly isType: boolean
  /** `import(…)`: it is loaded when it is reached. */
  readonly isLazy: boolean
}

/** Why `from` may not import `to`, or undefined when it may. */
export function refusal(edge: Import): string | undefined {
  const [{ zone: a }, { zone: b }] = [placeOf(edge.from), placeOf(edge.to)]
  if (a === 'outside') return outsideRefusal(edge)
  const no = `${a} may not import ${b}`
  if (a.startsWith('kernel') && b.startsWith('kernel')) return kernelRefusal(edge)
  if (a === b) return undefined
  if (b === 'outside') return `${no}: ${edge.to}`
  if (b === 'sdk') return sdkRefusal(a, edge)
  if (a === 'sdk' || a === 'statistics' || a === 'console') return no
  if (a.startsWith('adapters/')) return adapterRefusal(a, edge)
  if (a === 'processes')
    return b.startsWith('adapters/') && !edge.isType && !edge.isLazy ? `${no} but lazily: ${edge.to}` : undefined
  if (a === 'migrations') return b.startsWith('kernel') ? undefined : no
  if (b === 'migrations' || b.startsWith('adapters/') || b === 'processes') {
    if (a !== 'cli' || b !== 'processes') return no
    return edge.isType || edge.isLazy ? undefined : `${no} but lazily: ${edge.to}`
  }
  if (a.startsWith('kernel')) return no
  if (a === 'cli') return b.startsWith('kernel') || edge.to.endsWith('/definitions/client/index.ts') ? undefined : no
  if (a === 'inference') return b === 'kernel-free' || b === 'statistics' ? undefined : no
  return domainRefusal(a, b, edge)
}

/** An example is a user's project: of ours it knows the packages. `bench`, `scripts` and `tests` reach what they measure. */
function outsideRefusal({ from, to }: Import): string | undefined {
  if (!from.startsWith('examples/') || !to.startsWith('packages/') || Object.values(SDK_ENTRIES).includes(to))
    return undefined
  return `an example may import our packages by their entries only, not ${to}`
}

/** Downwards only. Of what lies above, `http` names the type of a context: its handlers receive one, it makes none. */
function kernelRefusal({ from, to, isType }: Import): string | undefined {
  const [{ part: a, layer: left = -1 }, { part: b, layer: right = -1 }] = [placeOf(from), placeOf(to)]
  if (left < 0) return `${from}: kernel/${a} has no place in the order of the kernel's parts`
  if (a === b || (right >= 0 && right <= left)) return undefined
  if (a === 'http' && isType && to.endsWith('/kernel/db/context.ts')) return undefined
  return `kernel/${a} may not import kernel/${b}, which stands above it`
}

function sdkRefusal(zone: string, { to, isType }: Import): string | undefined {
  const entry = Object.keys(SDK_ENTRIES).find((name) => SDK_ENTRIES[name] === to)
  if (entry === undefined) return `${zone} may import sdk by an entry of its package only, not ${to}`
  const no = `${zone} may not import ${entry}`
  if (zone === 'statistics' || zone === 'migrations') return no
  if (zone.startsWith('kernel')) return isType || entry.endsWith('/wire') ? undefined : `${no}, but for its types`
  // A seam's signature names types of the wire.
  if (zone.startsWith('adapters/'))
    return entry.endsWith('/seams') || (entry.endsWith('/wire') && isType) ? undefined : no
  return zone === 'cli' && entry.endsWith('/seams') ? no : undefined
}

function adapterRefusal(zone: string, { to, isType }: Import): string | undefined {
  const { zone: target, part } = placeOf(to)
  if (target === 'kernel-free' && ADAPTER_KERNEL.includes(part!)) return undefined
  const isBackend = isType && to.endsWith('kernel/db/backend.ts')
  if (isBackend && (zone === 'adapters/pglite' || zone === 'adapters/postgres')) return undefined
  return `${zone} may not import ${part === undefined ? target : `kernel/${part}`}`
}

function domainRefusal(a: string, b: string, { from, to }: Import): string | undefined {
  const no = `${a} may not import ${b}`
  if (b.startsWith('kernel') || b === 'statistics' || b === 'inference') {
    if (b === 'inference' && !to.endsWith('/inference/index.ts'))
      return `${no} but through its index.ts: ${to} (only index.ts is public)`
    return a === 'gateway' && b === 'kernel-db' ? no : undefined
  }
  if (a === 'serving' && b === 'gateway') return to.endsWith('serving/gateway/index.ts') ? undefined : no
  if (a === 'gateway') return to.endsWith('features/online/index.ts') ? undefined : no
  const [left, right] = [DOMAINS.indexOf(a), DOMAINS.indexOf(b === 'gateway' ? 'serving' : b)]
  if (left < 0 || right < 0 || right >= left) return no
  if (!/^packages\/platform\/src\/[a-z]+\/(?:(?:content|online|gateway|control|ci|ct|cd)\/)?index\.ts$/.test(to))
    return `${from} imports ${to}: only index.ts of a domain is public`
  return undefined
}
