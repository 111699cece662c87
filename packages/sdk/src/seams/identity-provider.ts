import type { Role } from '../wire/access.ts'

/** What a caller sent to show who it is, and what a signature over that one request is compared with. None of it is proven. */
export interface PresentedCredentials {
  /** First word of the `Authorization` header, in lower case: `bearer`. */
  readonly scheme: string
  /** The rest of the header, without blanks around it. Never empty over HTTP; a provider takes any text. */
  readonly value: string
  /** Name of the project that the request is about, `default` where it names none: lower-case letters, digits, `-` and `_`. */
  readonly project: string
  readonly request: {
    /** In capitals: `POST`. */
    readonly method: string
    /** Path and query, as they were sent. */
    readonly url: string
    /** The `Host` header; empty when there was none. */
    readonly host: string
    /**
     * Whether the body that arrives will be compared with `bodyDigest` of the answer. Where it will not, credentials that
     * are about a body are refused: nobody would see that it is another one.
     */
    readonly confirmsBody: boolean
  }
}

/** Who calls. */
export interface ProvenIdentity {
  readonly principal: {
    /**
     * Name of the person, program or run, the same at every request: roles, approvals and the audit go by it. `anonymous`,
     * `system` and `operator` have a meaning, so that nobody may be called so who chose the name alone.
     */
    readonly id: string
    readonly kind: 'user' | 'token' | 'run'
    /** True when it stands for a person or program that is known by name: only those may approve and release. */
    readonly named: boolean
    /** How it was shown, for the audit: `ssh:SHA256:…`. At most 256 characters; nothing in it lets a reader do it again. */
    readonly proof: string
  }
  /** The project that the credentials are for, taken where the request names none; absent when they are for no one project. */
  readonly project?: string
  /** `sha256:` digest of the only body that the credentials are good for; absent when they are good for any. */
  readonly bodyDigest?: string
  /**
   * The role on a project, looked up when asked; `*` asks for one that holds on every project. Undefined: none, and then
   * the caller is not told whether there is such a project.
   */
  roleOn(project: string): Promise<Role | undefined>
}

/**
 * Tells who calls by one kind of credentials. Providers are asked one after the other, and the first that does not answer
 * `undefined` decides: one that takes a kind as wide as `bearer` stands last.
 */
export interface IdentityProvider {
  /** Tells it from the others: lower-case letters, digits and `-`. */
  readonly name: string
  /**
   * Undefined means: these are not credentials of this kind, and the next provider is asked. What is of this kind and does
   * not hold is refused, never undefined. It may be damaged, expired, revoked, unknown, used before, or meant for another
   * request; a caller may have written it to do harm, at any length.
   *
   * Neither an error nor the proof quotes the credentials: both are shown and kept.
   *
   * @throws unauthenticated with a code of the provider: they do not hold
   * @throws unavailable with a code of the provider: nobody can say now, for what has to be asked does not answer
   */
  identify(presented: PresentedCredentials): Promise<ProvenIdentity | undefined>
}
