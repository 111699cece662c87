import type { IdentityProvider } from '@plimsoll/sdk/seams'
import { principalName } from '@plimsoll/sdk/wire'
import type { Context } from '../db/context.ts'
import { PlimsollError } from '../errors.ts'
import { grantedRole } from './grants.ts'
import type { OidcVerifier } from './verify/index.ts'

/** `Authorization: Bearer` with an ID token of the configured issuer: a named person with the roles that were granted. */
export function openOidcProvider(ctx: Context, issuer: string, verifier: OidcVerifier): IdentityProvider {
  return {
    name: 'oidc',
    async identify({ scheme, value }) {
      if (scheme !== 'bearer') return undefined
      const principal = await verifier.verify(value)
      if (!principalName.safeParse(principal).success)
        throw new PlimsollError(
          'unauthenticated',
          'auth.oidc_refused',
          `The identity token is refused: ${JSON.stringify(principal.slice(0, 128))} is no name that a person may have here`,
        )
      return {
        principal: { id: principal, kind: 'user', named: true, proof: `oidc:${issuer}` },
        roleOn: (project) => grantedRole(ctx, project, principal),
      }
    },
  }
}
