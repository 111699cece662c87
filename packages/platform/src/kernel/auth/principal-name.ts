import { z } from 'zod'

const RESERVED = new Set(['anonymous', 'system', 'operator'])

/** Name of a person or program that an admin may give out; the platform's own names are reserved. */
export const principalName = z
  .string()
  .regex(/^[a-zA-Z0-9][a-zA-Z0-9._@+-]{0,127}$/, 'must be a name or an address: letters, digits and . _ @ + -')
  .refine((name) => !RESERVED.has(name.toLowerCase()), 'is reserved')

/** What a caller does who is refused and sent no token at all. */
export const TOKEN_ACTION =
  'Send a token with --token-file or PLIMSOLL_TOKEN; on the machine of the server, --data-dir DIR or the nearest .plimsoll instead of --server sends that of the operator'

/** What somebody does who is refused for want of a name. */
export const NAMED_ACTION =
  'Make a token of a person with plimsoll token create NAME --role approver --out NAME.token and give it with --token-file NAME.token, or sign with an SSH key (--sign-with) or OIDC'
