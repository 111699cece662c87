import { z } from 'zod'
import { wholeText } from './count.ts'

/** What a principal may do on a project; each may do what those before it may. */
export const ROLES = ['viewer', 'editor', 'approver', 'admin'] as const
/** One of `ROLES`. */
export type Role = (typeof ROLES)[number]

const role = z.enum(ROLES)
const at = z.iso.datetime()
const RESERVED = new Set(['anonymous', 'system', 'operator'])

/** Name of a person or program that an admin may give out; the platform's own names are reserved. */
export const principalName = z
  .string()
  .regex(/^[a-zA-Z0-9][a-zA-Z0-9._@+-]{0,127}$/, 'must be a name or an address: letters, digits and . _ @ + -')
  .refine((name) => !RESERVED.has(name.toLowerCase()), 'is reserved')

/** Who the caller is on a project, and how they showed it. */
export const whoami = z.object({
  principal: z.string(),
  kind: z.string(),
  named: z.boolean(),
  role,
  proof: z.string(),
  project: z.string(),
})

/** Asks for a token of a person or program; without `days` it holds as long as the server lets a token. */
export const createTokenBody = z.strictObject({
  principal: principalName,
  name: z.string().min(1).max(128).default('token'),
  role,
  days: z.int().min(1).optional(),
  allProjects: z.boolean().default(false),
})

/** A token that was just made; its text is shown this once. */
export const issuedToken = z.object({ id: z.string(), token: z.string(), expires_at: at })

/** Which page of the tokens. */
export const tokensQuery = z.strictObject({
  after: z.string().max(64).default(''),
  limit: wholeText({ min: 1, max: 200 }).default(50),
})

/** Tokens without their text; `next` is where the next page begins, null for none. */
export const tokenPage = z.object({
  tokens: z.array(
    z.object({
      id: z.string(),
      name: z.string(),
      principal: z.string(),
      role,
      all_projects: z.boolean(),
      created_at: at,
      created_by: z.string(),
      expires_at: at,
      last_used_at: at.nullable(),
      revoked_at: at.nullable(),
    }),
  ),
  next: z.string().nullable(),
})

/** Projects that the caller may see, with the caller's role on each. */
export const projectList = z.object({
  projects: z.array(z.object({ project: z.string(), role, created_at: at, created_by: z.string() })),
})

/** Name of a project. */
export const projectName = z
  .string()
  .regex(/^[a-z][a-z0-9_-]{0,62}$/, 'must start with a letter and have lower-case letters, digits, - and _, at most 63')

/** Names a project that is to be made. */
export const createProjectBody = z.strictObject({ project: projectName })

/** A project that was made. */
export const createdProject = z.object({ project: z.string() })

/** An SSH key that speaks for a person. `public_key` is a line as in authorized_keys (RFC 4253, 6.6, in base64). */
export const keyView = z.object({
  id: z.string(),
  principal: z.string(),
  fingerprint: z.string(),
  public_key: z.string(),
  created_at: at,
  created_by: z.string(),
  revoked_at: at.nullable(),
})

/** SSH keys of people in a project. */
export const keyList = z.object({ keys: z.array(keyView) })

/** Registers a person's SSH key. */
export const registerKeyBody = z.strictObject({ principal: principalName, public_key: z.string().min(1).max(8_192) })

/** Roles of people in a project. */
export const grantList = z.object({
  grants: z.array(z.object({ principal: z.string(), role, created_at: at, created_by: z.string() })),
})

/** The role that a person gets. */
export const setGrantBody = z.strictObject({ role })
