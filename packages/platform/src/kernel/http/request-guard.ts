import type { IncomingMessage } from 'node:http'
import { PlimsollError } from '../errors.ts'

/** What a request's Host and Origin may be. */
export interface Audience {
  /** The bound name or address, without port. */
  readonly host: string
  /** Undefined while the server does not listen (in-process tests). */
  readonly port: number | undefined
  /** Further names with their port when it is not the default one of the scheme. */
  readonly publicHosts: readonly string[]
  readonly behindProxy: boolean
}

const SINGLE = new Set([
  'host',
  'origin',
  'authorization',
  'content-type',
  'content-length',
  'content-encoding',
  'sec-fetch-site',
  'x-plimsoll-project',
])
const LOOPBACK_NAMES = ['localhost', '127.0.0.1', '[::1]']
/** Each browser sends one of these at least. */
const BROWSERS = ['origin', 'cookie', 'referer', 'accept-language', 'sec-fetch-site', 'sec-fetch-mode', 'sec-ch-ua']
const FORM_TYPES = new Set(['application/x-www-form-urlencoded', 'multipart/form-data', 'text/plain'])

function refuse(code: string, message: string): never {
  throw new PlimsollError('invalid', code, message)
}

const allowLists = new WeakMap<Audience, Set<string>>()

/** Made once for an audience that its server keeps. */
function hostAllowList(audience: Audience): Set<string> {
  const known = allowLists.get(audience)
  if (known) return known
  const names = new Set<string>(audience.publicHosts.map((name) => name.toLowerCase()))
  const isWildcard = audience.host === '0.0.0.0' || audience.host === '::' || audience.host === '[::]'
  const bound = audience.host.includes(':') && !audience.host.startsWith('[') ? `[${audience.host}]` : audience.host
  const own = isWildcard ? LOOPBACK_NAMES : [...LOOPBACK_NAMES, bound.toLowerCase()]
  for (const name of own) {
    if (audience.port === undefined || audience.port === 80) {
      names.add(name)
      names.add(`${name}:80`)
    }
    if (audience.port !== undefined) names.add(`${name}:${audience.port}`)
  }
  allowLists.set(audience, names)
  return names
}

/**
 * Refuses what a web page could make a browser send us, and what proxies and we could read differently: on the raw
 * header list, since the parsed one hides duplicates.
 *
 * @throws invalid http.duplicate_header · http.absolute_form · http.bad_target · forbidden http.host · http.origin · http.cross_site · media_type http.form
 */
export function guardRequest(raw: IncomingMessage, audience: Audience): void {
  const seen = new Map<string, string>()
  for (let index = 0; index < raw.rawHeaders.length; index += 2) {
    const name = raw.rawHeaders[index]!.toLowerCase()
    if (seen.has(name) && SINGLE.has(name))
      refuse('http.duplicate_header', `Cannot read the request: the header ${name} appears twice`)
    seen.set(name, raw.rawHeaders[index + 1]!)
  }
  if (seen.size === 0) for (const [name, value] of Object.entries(raw.headers)) seen.set(name, String(value))
  const target = raw.url ?? '/'
  if (!target.startsWith('/')) refuse('http.absolute_form', 'Cannot read the request: its target must be a path')
  if (target.includes('#') || target.startsWith('//'))
    refuse('http.bad_target', 'Cannot read the request: its target is not a plain path and query')
  const host = (seen.get('host') ?? seen.get(':authority') ?? '').toLowerCase()
  const isHostless = host === '' && !seen.has('host')
  if (isHostless && !isProbe(raw, seen)) refuse('http.no_host', 'Cannot read the request: it names no Host')
  if (!isHostless && !hostAllowList(audience).has(host)) {
    throw new PlimsollError(
      'forbidden',
      'http.host',
      'Cannot answer under this Host: it is not a name of this server',
      {
        action: 'Use the address that the server printed, or add the name to server.publicHosts',
      },
    )
  }
  guardOrigin(seen, host, audience)
  const type = seen.get('content-type')?.split(';')[0]?.trim().toLowerCase()
  // No page sends a PUT unasked, and clients upload text files under their own type.
  const isUpload = raw.method === 'PUT' && type === 'text/plain'
  if (type !== undefined && !isUpload && FORM_TYPES.has(type)) {
    throw new PlimsollError(
      'media_type',
      'http.form',
      `Cannot take ${type}: web pages can send it without being asked`,
      { action: 'Send application/json, or application/octet-stream where bytes are taken' },
    )
  }
}

/** HTTP/1.0 has no Host: load balancers ask so whether we are ready. A proxy that drops the Host of a browser's request is none. */
function isProbe(raw: IncomingMessage, seen: ReadonlyMap<string, string>): boolean {
  const isRead = raw.method === 'GET' || raw.method === 'HEAD'
  return raw.httpVersion === '1.0' && isRead && !BROWSERS.some((name) => seen.has(name))
}

function guardOrigin(seen: ReadonlyMap<string, string>, host: string, audience: Audience): void {
  const origin = seen.get('origin')
  if (origin !== undefined) {
    const own = `${audience.behindProxy ? 'https' : 'http'}://${host}`
    if (origin.toLowerCase() !== own) {
      throw new PlimsollError('forbidden', 'http.origin', 'Cannot answer a page of another origin')
    }
  }
  const site = seen.get('sec-fetch-site')?.toLowerCase()
  if (site === 'cross-site' || site === 'same-site')
    throw new PlimsollError('forbidden', 'http.cross_site', 'Cannot answer a page of another site')
}
