import { createRemoteJWKSet, errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose'
import { PlimsollError } from '../../errors.ts'

/** Signatures that we take: asymmetric only, so that a public key can never be used as a secret. */
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519']
const SKEW_SECONDS = 60
const KEYS_COOLDOWN_MS = 60_000
const FETCH_TIMEOUT_MS = 5_000
const DISCOVERY_BYTES_MAX = 64 * 1024
const TOKEN_CHARS_MAX = 8 * 1024

export interface OidcOptions {
  readonly issuer: string
  readonly audience: string
  /** Where the keys are; found by discovery when absent. */
  readonly jwksUrl?: string | undefined
  /** The claim that names the principal. */
  readonly principalClaim: string
  /** Time in milliseconds; tokens live in real time. */
  readonly nowMs: () => number
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
      `Cannot use ${url.origin}: an identity provider is asked over https only`,
    )
  }
  return url
}

async function discover(issuer: string): Promise<URL> {
  const response = await fetch(safeUrl(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`), {
    redirect: 'error',
    signal: AbortSignal.timeout(FETCH_TIMEOUT_MS),
  })
  const text = await response.text()
  if (!response.ok || text.length > DISCOVERY_BYTES_MAX) throw new Error(`discovery answered ${response.status}`)
  const found = JSON.parse(text) as { issuer?: unknown; jwks_uri?: unknown } // both are checked on the next line
  if (found.issuer !== issuer || typeof found.jwks_uri !== 'string')
    throw new Error('discovery names another issuer, or no keys')
  return safeUrl(found.jwks_uri)
}

/** Verifies ID tokens fully: signature by an allowed algorithm, issuer, audience, expiry, not-before. Keys are asked for at most once a minute. */
export function openOidcVerifier(options: OidcOptions): OidcVerifier {
  let keys: Promise<JWTVerifyGetKey> | undefined
  const openKeys = () => {
    keys ??= (options.jwksUrl === undefined ? discover(options.issuer) : Promise.resolve(safeUrl(options.jwksUrl)))
      .then(
        (url): JWTVerifyGetKey =>
          createRemoteJWKSet(url, { cooldownDuration: KEYS_COOLDOWN_MS, timeoutDuration: FETCH_TIMEOUT_MS }),
      )
      .catch((error: unknown) => {
        keys = undefined
        throw new PlimsollError(
          'unavailable',
          'auth.oidc_unreachable',
          'The identity provider does not answer',
          {},
          error,
        )
      })
    return keys
  }
  return {
    async verify(token) {
      if (token.length > TOKEN_CHARS_MAX) throw refused('it is too long')
      let payload: JWTPayload
      try {
        const verified = await jwtVerify(token, await openKeys(), {
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
        if (error instanceof errors.JWKSTimeout || !(error instanceof errors.JOSEError)) {
          throw new PlimsollError(
            'unavailable',
            'auth.oidc_unreachable',
            'The identity provider does not answer',
            {},
            error,
          )
        }
        throw refused(error instanceof errors.JWTExpired ? 'it has expired' : error.code)
      }
      return principalOf(payload, options.principalClaim)
    },
  }
}

function principalOf(payload: JWTPayload, claim: string): string {
  const name = payload[claim]
  if (typeof name !== 'string' || !/^[a-zA-Z0-9][a-zA-Z0-9._@+-]{0,127}$/.test(name))
    throw refused(`it has no usable claim ${claim}`)
  if (claim === 'email' && payload.email_verified !== true) throw refused('its address is not verified')
  return name
}

function refused(why: string): PlimsollError {
  return new PlimsollError('unauthenticated', 'auth.oidc_refused', `The identity token is refused: ${why}`)
}
