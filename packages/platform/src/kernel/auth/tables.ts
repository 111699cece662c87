import type { Role } from '@plimsoll/sdk/wire'
import type { Filled } from '../db/kernel-tables.ts'

export interface ProjectRow {
  project: string
  created_at: Filled<Date>
  created_by: string
}

export interface TokenRow {
  id: string
  /** `*`: every project. */
  project: string
  name: string
  principal: string
  role: Role
  kind: 'named' | 'operator'
  hash: string
  created_at: Date
  created_by: string
  expires_at: Date
  last_used_at: Date | null
  revoked_at: Date | null
}

export interface KeyRow {
  id: string
  project: string
  principal: string
  fingerprint: string
  public_key: string
  created_at: Date
  created_by: string
  revoked_at: Date | null
}

export interface GrantRow {
  project: string
  principal: string
  role: Role
  created_at: Date
  created_by: string
}

export interface SignatureRow {
  nonce: string
  project: string
  principal: string
  fingerprint: string
  statement: string
  signature: string
  at: Date
}

declare module '../db/tables.ts' {
  interface Tables {
    auth_project: ProjectRow
    auth_token: TokenRow
    auth_key: KeyRow
    auth_grant: GrantRow
    auth_signature: SignatureRow
  }
}
