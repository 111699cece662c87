import { readFile, stat } from 'node:fs/promises'
import { digestBytes } from '../kernel/digest.ts'
import { PlimsollError } from '../kernel/errors.ts'

const MODEL_BYTES_MAX = 2 * 1024 * 1024 * 1024 - 1

/**
 * The bytes of a model, verified.
 * @throws too_large inference.model_too_large
 * @throws invalid   inference.digest_mismatch
 */
export async function readModelFile({ digest, path }: { digest: string; path: string }): Promise<Buffer<ArrayBuffer>> {
  const { size } = await stat(path)
  if (size > MODEL_BYTES_MAX) {
    throw new PlimsollError(
      'too_large',
      'inference.model_too_large',
      `Cannot load model ${digest}: ${size} bytes, at most ${MODEL_BYTES_MAX}`,
    )
  }
  const bytes = await readFile(path)
  const found = digestBytes(bytes)
  if (found !== digest) {
    throw new PlimsollError(
      'invalid',
      'inference.digest_mismatch',
      `Cannot load model ${digest}: the file has digest ${found}`,
    )
  }
  return bytes
}
