import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { randomHex } from '../kernel/ids.ts'

const MEDIA_TYPES: Record<string, string> = {
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
}
const FILES_MAX = 500
const FILE_BYTES_MAX = 8 << 20
const NONCE_BYTES = 18
const NONCE_MARK = '__PLIMSOLL_NONCE__'
/** Paths of the console's own rooms; any other unknown path is a 404, to a browser with the console's own words. */
const ROOMS = ['/', '/runs', '/runs/*', '/models', '/models/*', '/tracked/*']
const MISSING_PAGE =
  '<!doctype html><html lang="en"><meta charset="utf-8"><title>Plimsoll</title><p>The console is not built. Run npm run build, then start again. The API is described at <a href="/api">/api</a>.</p></html>'

interface ConsoleFile {
  readonly bytes: Buffer
  readonly mediaType: string
}

/** Where a build may lie: in the published package, or in a checkout. */
export function consoleDirectories(): string[] {
  return ['../../console', '../../../console/dist'].map((path) => fileURLToPath(new URL(path, import.meta.url)))
}

/** A checkout has no console until somebody builds it. */
export function isConsoleBuilt(directories: readonly string[] = consoleDirectories()): boolean {
  return directories.some((directory) => existsSync(join(directory, 'index.html')))
}

async function readFolder(directory: string, prefix: string): Promise<[string, ConsoleFile][]> {
  const entries = await readdir(directory, { withFileTypes: true })
  const files: [string, ConsoleFile][] = []
  for (const entry of entries.slice(0, FILES_MAX)) {
    const mediaType = MEDIA_TYPES[extname(entry.name)]
    // A link may lead outside; it is no plain file, and is left out.
    if (!entry.isFile() || mediaType === undefined) continue
    const bytes = await readFile(join(directory, entry.name))
    if (bytes.length <= FILE_BYTES_MAX) files.push([`${prefix}${entry.name}`, { bytes, mediaType }])
  }
  return files
}

interface ConsoleBuild {
  readonly index: string
  readonly files: ReadonlyMap<string, ConsoleFile>
}

async function readBuild(directory: string): Promise<ConsoleBuild | undefined> {
  const index = await readFile(join(directory, 'index.html'), 'utf8').catch(() => undefined)
  if (index === undefined) return undefined
  const [top, assets] = await Promise.all([
    readFolder(directory, '/'),
    readFolder(join(directory, 'assets'), '/assets/'),
  ])
  return { index, files: new Map([...top, ...assets]) }
}

function contentPolicy(nonce: string): string {
  return [
    "default-src 'none'",
    "script-src 'self'",
    `style-src 'self' 'nonce-${nonce}'`,
    "img-src 'self'",
    "font-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ')
}

function sendPage(reply: FastifyReply, build: ConsoleBuild | undefined, status = 200): FastifyReply {
  const nonce = randomHex(NONCE_BYTES)
  return reply
    .headers({ 'content-security-policy': contentPolicy(nonce), 'cache-control': 'no-store' })
    .code(build === undefined ? 503 : status)
    .type('text/html; charset=utf-8')
    .serializer(String)
    .send(build === undefined ? MISSING_PAGE : build.index.replaceAll(NONCE_MARK, nonce))
}

/**
 * Serves the built console under `/`. The files are read once, at the start, and found by their exact name: no part of a
 * request reaches the file system. Pages hold no data and need no token; what they fetch does.
 */
export async function registerConsole(
  app: FastifyInstance,
  directories: readonly string[] = consoleDirectories(),
): Promise<void> {
  let build: ConsoleBuild | undefined
  for (const directory of directories) build ??= await readBuild(directory)
  for (const room of ROOMS) app.get(room, (_request: FastifyRequest, reply: FastifyReply) => sendPage(reply, build))
  if (build !== undefined) app.decorate('missingPage', (reply: FastifyReply) => sendPage(reply, build, 404))
  for (const [path, file] of build?.files ?? []) {
    const caching = path.startsWith('/assets/') ? 'public, max-age=31536000, immutable' : 'no-cache'
    app.get(path, (_request: FastifyRequest, reply: FastifyReply) =>
      reply
        .headers({ 'cache-control': caching, 'content-security-policy': "default-src 'none'; sandbox" })
        .type(file.mediaType)
        .send(file.bytes),
    )
  }
}
