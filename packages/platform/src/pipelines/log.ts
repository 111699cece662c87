import { join } from 'node:path'
import type { BlobStore } from '@plimsoll/sdk/seams'
import { isTerminalStep } from '@plimsoll/sdk/wire'
import type { Context } from '../kernel/db/index.ts'
import { openRegular } from '../kernel/regular-file.ts'
import { CHUNK_BYTES, readHidden } from './redacted-file.ts'
import { requireStep } from './run.ts'
import type { SecretAttempt, StepSecrets } from './step-secrets.ts'

export interface LogChunk {
  readonly bytes: Buffer
  readonly nextOffset: number
  /** True once the step has ended and nothing is left. */
  readonly isEnd: boolean
}

/** While the step goes on, what may become a secret waits for what comes next. */
async function readLive(
  workDir: string,
  offset: number,
  isOver: boolean,
  secrets: StepSecrets,
  attempt: SecretAttempt,
): Promise<Buffer> {
  const file = await openRegular(join(workDir, 'log'))
  if (!file) return Buffer.alloc(0)
  try {
    const { size } = await file.stat()
    if (size <= offset) return Buffer.alloc(0)
    const redactor = await secrets.redactorOf(attempt)
    return await readHidden(file, { start: offset, end: offset + CHUNK_BYTES, isGrowing: !isOver }, redactor)
  } finally {
    await file.close()
  }
}

async function readStored(blobs: BlobStore, digest: string, offset: number, sizeBytes: number): Promise<Buffer> {
  if (offset >= sizeBytes) return Buffer.alloc(0)
  const chunks: Uint8Array[] = []
  for await (const chunk of blobs.get(digest, { start: offset, end: Math.min(sizeBytes, offset + CHUNK_BYTES) }))
    chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** A part of the log of the newest attempt, from a byte offset: from its blob once it has ended, else from its file. */
export async function readLog(
  ctx: Context,
  deps: { blobs: BlobStore; secrets: StepSecrets },
  run: string,
  key: string,
  offset: number,
): Promise<LogChunk> {
  const step = await requireStep(ctx, run, key)
  const attempt = await ctx.db
    .selectFrom('attempt')
    .select(['work_dir', 'log_digest', 'log_bytes', 'fence'])
    .where('run', '=', run)
    .where('key', '=', key)
    .orderBy('number', 'desc')
    .limit(1)
    .executeTakeFirst()
  const isOver = isTerminalStep(step.state)
  if (attempt?.log_digest != null) {
    const sizeBytes = Number(attempt.log_bytes)
    const bytes = await readStored(deps.blobs, attempt.log_digest, offset, sizeBytes)
    return { bytes, nextOffset: offset + bytes.length, isEnd: isOver && offset + bytes.length >= sizeBytes }
  }
  const bytes =
    attempt?.work_dir == null
      ? Buffer.alloc(0)
      : await readLive(attempt.work_dir, offset, isOver, deps.secrets, { ...step, fence: attempt.fence })
  return { bytes, nextOffset: offset + bytes.length, isEnd: isOver && bytes.length === 0 }
}
