import { canonicalJson } from '../canonical.ts'
import { type Digest, digestBytes } from '../digest.ts'

/** A sealed row as it is hashed and journalled: texts only, so that no number or time changes on its way. */
export interface LedgerRecord {
  /** Place in the chain, from 1. */
  readonly position: string
  readonly seq: string
  readonly project: string
  readonly kind: string
  readonly subject: string
  /** UTC, microseconds. */
  readonly at: string
  /** The database's text of its jsonb. */
  readonly data: string
}

export interface SealedRecord extends LedgerRecord {
  readonly hash: string
}

/** What the first record is chained to. */
export const GENESIS: Digest = `sha256:${'0'.repeat(64)}`

/** Hash of a record in the chain: SHA-256 of the previous hash, a line feed, and the record's canonical JSON. */
export function hashRecord(previous: string, record: LedgerRecord): Digest {
  const { position, seq, project, kind, subject, at, data } = record
  return digestBytes(`${previous}\n${canonicalJson({ position, seq, project, kind, subject, at, data })}`)
}
