import { mkdir, open, readFile, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { type SignedSnapshot, type Snapshot, signedSnapshot, snapshot } from '@plimsoll/sdk/wire'
import { verifyBytes } from '../../kernel/auth/verify/index.ts'
import { PlimsollError } from '../../kernel/errors.ts'

function refuse(code: string, why: string): never {
  throw new PlimsollError('invalid', `serving.${code}`, `Cannot take the snapshot: ${why}`)
}

/**
 * Checks signature, form and approvals. The signed bytes are the payload's text itself, never a re-serialisation.
 * @throws invalid serving.snapshot_unsigned · serving.snapshot_malformed · serving.snapshot_unapproved
 */
export function verifySnapshot(signed: SignedSnapshot, publicKey: string): Snapshot {
  if (!verifyBytes(publicKey, Buffer.from(signed.payload), signed.signature))
    refuse('snapshot_unsigned', 'its signature is not by the pinned key')
  let parsed: unknown
  try {
    parsed = JSON.parse(signed.payload)
  } catch {
    refuse('snapshot_malformed', 'its payload is not JSON')
  }
  const result = snapshot.safeParse(parsed)
  if (!result.success)
    refuse(
      'snapshot_malformed',
      result.error.issues
        .map((issue) => `${issue.path.join('/')}: ${issue.message}`)
        .join('; ')
        .slice(0, 1_000),
    )
  const content = result.data
  const versions = new Map(content.versions.map((version) => [version.key ?? version.artifact, version]))
  for (const version of content.versions) {
    const stray = version.approvals.find(
      (approval) => approval.artifact !== version.artifact || approval.passport !== version.passport,
    )
    if (stray)
      refuse(
        'snapshot_unapproved',
        `the approval of ${version.model} ${version.version} by ${stray.by} binds other digests`,
      )
  }
  for (const route of content.routes) {
    for (const arm of route.arms) {
      if (versions.get(arm.version ?? arm.artifact)?.artifact !== arm.artifact)
        refuse('snapshot_malformed', `route ${route.name} names ${arm.artifact}, which is not among its versions`)
    }
  }
  return content
}

/** Reads and verifies what was kept; undefined when there is nothing. A damaged or foreign file is an error. */
export async function loadSnapshot(
  path: string,
  publicKey: string,
): Promise<{ signed: SignedSnapshot; content: Snapshot } | undefined> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    refuse('snapshot_malformed', 'the kept file is not JSON')
  }
  const signed = signedSnapshot.safeParse(parsed)
  if (!signed.success) refuse('snapshot_malformed', 'the kept file is not a signed snapshot')
  return { signed: signed.data, content: verifySnapshot(signed.data, publicKey) }
}

/** Keeps the snapshot: temporary file, fsync, rename. */
export async function storeSnapshot(path: string, signed: SignedSnapshot): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const file = await open(`${path}.tmp`, 'w', 0o600)
  try {
    await file.writeFile(JSON.stringify(signed))
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(`${path}.tmp`, path)
}
