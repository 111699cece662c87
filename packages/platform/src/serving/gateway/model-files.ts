import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { PlimsollError } from '../../kernel/errors.ts'
import type { ControlLink } from './control-link.ts'

/**
 * Model files by digest, fetched once and verified. What is there is hashed again before use: a flipped byte is fetched
 * anew, never served.
 */
export interface ModelFiles {
  /** @throws unavailable serving.control_unreachable · unavailable serving.model_altered (a later transfer may be whole) */
  require(artifact: string, sizeBytes: number): Promise<string>
}

async function hashOf(path: string): Promise<string | undefined> {
  try {
    await stat(path)
  } catch {
    return undefined
  }
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk)
  return `sha256:${hash.digest('hex')}`
}

export function openModelFiles(directory: string, link: Pick<ControlLink, 'fetchBlob'>): ModelFiles {
  const running = new Map<string, Promise<string>>()

  const fetchOne = async (artifact: string, sizeBytes: number): Promise<string> => {
    await mkdir(directory, { recursive: true, mode: 0o700 })
    const path = join(directory, `${artifact.slice('sha256:'.length)}.onnx`)
    if ((await hashOf(path)) === artifact) return path
    const temporary = `${path}.part`
    const file = await open(temporary, 'w', 0o600)
    const hash = createHash('sha256')
    let received = 0
    try {
      for await (const chunk of link.fetchBlob(artifact)) {
        received += chunk.length
        if (received > sizeBytes) break
        hash.update(chunk)
        await file.write(chunk)
      }
      await file.sync()
    } finally {
      await file.close()
    }
    if (received !== sizeBytes || `sha256:${hash.digest('hex')}` !== artifact) {
      await rm(temporary, { force: true })
      throw new PlimsollError(
        'unavailable',
        'serving.model_altered',
        `Cannot load model ${artifact}: the bytes received have another digest`,
      )
    }
    await rename(temporary, path)
    return path
  }

  return {
    require(artifact, sizeBytes) {
      const present = running.get(artifact)
      if (present) return present
      const started = fetchOne(artifact, sizeBytes).finally(() => running.delete(artifact))
      running.set(artifact, started)
      return started
    },
  }
}
