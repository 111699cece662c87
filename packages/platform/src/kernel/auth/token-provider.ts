import type { IdentityProvider, ProvenIdentity } from '@plimsoll/sdk/seams'
import type { Context } from '../db/context.ts'
import { PlimsollError } from '../errors.ts'
import { ALL_PROJECTS } from './grants.ts'
import { requireToken } from './tokens.ts'
import { isTokenForm, TOKEN_PREFIX } from './verify/index.ts'

/** `Authorization: Bearer plim_…`: tokens of this installation, of named people and programs and of the operator. */
export function openTokenProvider(ctx: Context): IdentityProvider {
  return {
    name: 'tokens',
    identify: async ({ scheme, value }) =>
      scheme === 'bearer' && value.startsWith(TOKEN_PREFIX) ? identifyToken(ctx, value) : undefined,
  }
}

async function identifyToken(ctx: Context, text: string): Promise<ProvenIdentity> {
  if (!isTokenForm(text))
    throw new PlimsollError(
      'unauthenticated',
      'auth.token_malformed',
      'The token is damaged: its check characters do not fit',
      { action: 'Copy it whole' },
    )
  const row = await requireToken(ctx, text)
  return {
    principal: { id: row.principal, kind: 'token', named: row.kind === 'named', proof: `token:${row.id}` },
    roleOn: async (project) => (row.project === ALL_PROJECTS || row.project === project ? row.role : undefined),
  }
}
