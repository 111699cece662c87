import { z } from 'zod'

const RESERVED = new Set(['anonymous', 'system', 'operator'])

/** Name of a person or program that an admin may give out; the platform's own names are reserved. */
export const principalName = z
  .string()
  .regex(/^[a-zA-Z0-9][a-zA-Z0-9._@+-]{0,127}$/, 'must be a name or an address: letters, digits and . _ @ + -')
  .refine((name) => !RESERVED.has(name.toLowerCase()), 'is reserved')
