import type { JWTPayload, JWTVerifyGetKey } from 'jose'
import { PlimsollError } from '../../errors.ts'
import { answerText } from '../../http/answer-text.ts'

/** Loaded with the first token: most processes that sign or verify see none. */
type Jose = typeof import('jose')

/** Signatures that we take: asymmetric only, so that a public key can never be used as a secret. */
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519']
const SKEW_SECONDS = 60
const KEYS_COOLDOWN_MS = 60_000
const FETCH_TIMEOUT_MS = 5_000
const DISCOVERY_BYTES_MAX = 64 * 1024
const KEYS_BYTES_MAX = 256 * 1024
const TOKEN_CHARS_MAX = 8 * 1024
/** The compact form, of which the library would pass over blanks. @source RFC 7515, section 3.1 */
const COMPACT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/

export interface OidcOptions {
  readonly issuer: string
  readonly audience: string
  /** Where the keys are; found by discovery when absent. */
  readonly jwksUrl?: string | undefined
  /** The claim that names the principal. */
  readonly principalClaim: string
  /** Time in milliseconds; tokens live in real time. */
  readonly nowMs: () => number
  /** How long the issuer may take for one answer, 5 s when absent. */
  readonly timeoutMs?: number | undefined
}

export interface OidcVerifier {
  /** The principal that the token names. @throws unauthenticated auth.oidc_refused · unavailable auth.oidc_unreachable */
  verify(token: string): Promise<string>
}

function safeUrl(text: string): URL {
  const url = new URL(text)
  const isLocal = url.hostname === '127.0.0.1' || url.hostname === 'localhost' || url.hostname === '[::1]'
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLocal)) {
    throw new PlimsollError(
      'invalid',
      'auth.oidc_url',
      `Cannot use ${url.origin}: an issuer of identity tokens is asked over https only`,
    )
  }
  return url
}

/** Asks the issuer: no redirect is followed, an answer has a most size, also unpacked, and it is JSON. */
async function ask(url: URL | string, options: { bytesMax: number; signal: AbortSignal }): Promise<string> {
  const response = await fetch(url, { redirect: 'error', signal: options.signal })
  if (!response.ok) {
    await response.body?.cancel()
    throw new Error(`the issuer answered ${response.status}`)
  }
  const text = await answerText(response, options.bytesMax)
  JSON.parse(text)
  return text
}

async function discover(issuer: string, timeoutMs: number): Promise<URL> {
  const text = await ask(safeUrl(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`), {
    bytesMax: DISCOVERY_BYTES_MAX,
    signal: AbortSignal.timeout(timeoutMs),
  })
  const found = JSON.parse(text) as { issuer?: unknown; jwks_uri?: unknown } | null // checked on the next line
  if (found?.issuer !== issuer || typeof found.jwks_uri !== 'string')
    throw new Error('discovery names another issuer, or no keys')
  return safeUrl(found.jwks_uri)
}

function remoteKeys(jose: Jose, url: URL, timeoutMs: number): JWTVerifyGetKey {
  return jose.createRemoteJWKSet(url, {
    cooldownDuration: KEYS_COOLDOWN_MS,
    timeoutDuration: timeoutMs,
    [jose.customFetch]: async (address, { signal }) =>
      new Response(await ask(address, { bytesMax: KEYS_BYTES_MAX, signal: signal! })), // it always sets one
  })
}

/** True where the issuer is at fault and not the token. */
function isUnreachable({ errors }: Jose, error: unknown): boolean {
  return (
    error instanceof errors.JWKSTimeout || error instanceof errors.JWKSInvalid || !(error instanceof errors.JOSEError)
  )
}

/** Verifies ID tokens fully: signature by an allowed algorithm, issuer, audience, expiry, not-before. Keys are asked for at most once a minute. */
export function openOidcVerifier(options: OidcOptions): OidcVerifier {
  let keys: Promise<JWTVerifyGetKey> | undefined
  const timeoutMs = options.timeoutMs ?? FETCH_TIMEOUT_MS
  const locate = async () =>
    options.jwksUrl === undefined ? discover(options.issuer, timeoutMs) : safeUrl(options.jwksUrl)
  const openKeys = (jose: Jose) => {
    keys ??= locate()
      .then((url) => remoteKeys(jose, url, timeoutMs))
      .catch((error: unknown) => {
        keys = undefined
        throw new PlimsollError(
          'unavailable',
          'auth.oidc_unreachable',
          'The issuer of identity tokens does not answer',
          {},
          error,
        )
      })
    return keys
  }
  return {
    async verify(token) {
      if (token.length > TOKEN_CHARS_MAX) throw refused('it is too long')
      if (!COMPACT.test(token)) throw refused('it is not in the compact form of a signed token')
      const jose = await import('jose')
      let payload: JWTPayload
      try {
        const verified = await jose.jwtVerify(token, await openKeys(jose), {
          issuer: options.issuer,
          audience: options.audience,
          algorithms: ALGORITHMS,
          clockTolerance: SKEW_SECONDS,
          requiredClaims: ['exp', 'iat', 'sub'],
          currentDate: new Date(options.nowMs()),
        })
        payload = verified.payload
      } catch (error) {
        if (error instanceof PlimsollError) throw error
        if (isUnreachable(jose, error)) {
          throw new PlimsollError(
            'unavailable',
            'auth.oidc_unreachable',
            'The issuer of identity tokens does not answer',
            {},
            error,
          )
        }
        throw refused(error instanceof jose.errors.JWTExpired ? 'it has expired' : (error as { code: string }).code)
      }
      return principalOf(payload, options.principalClaim)
    },
  }
}

/** Whether somebody may have that name is for the provider to say. */
function principalOf(payload: JWTPayload, claim: string): string {
  const name = payload[claim]
  if (typeof name !== 'string') throw refused(`its claim ${claim} is no text`)
  if (claim === 'email' && payload.email_verified !== true) throw refused('its address is not verified')
  return name
}

function refused(why: string): PlimsollError {
  return new PlimsollError('unauthenticated', 'auth.oidc_refused', `The identity token is refused: ${why}`)
}
