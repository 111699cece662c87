import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, readdir, rename, rm, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../../kernel/clock.ts'
import { PlimsollError } from '../../kernel/errors.ts'
import type { ControlLink } from './control-link.ts'

/**
 * Model files by digest, fetched once and verified. What is there is hashed again before use: a flipped byte is fetched
 * anew, never served.
 */
export interface ModelFiles {
  /** @throws unavailable serving.control_unreachable · unavailable serving.model_altered (a later transfer may be whole) */
  require(artifact: string, sizeBytes: number): Promise<string>
  /**
   * Removes files until all fit the budget, those first that were required longest ago. Never one that
   * `isKept`, asked right before each removal, or that is being fetched, whatever their size: a released version may be
   * rolled back to, so the others stay while they fit.
   */
  prune(isKept: (artifact: string) => boolean): Promise<void>
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

interface ModelFile {
  readonly path: string
  readonly artifact: string
  readonly bytes: number
  readonly requiredMs: number
  /** False for what a transfer left behind that did not end. */
  readonly isWhole: boolean
}

/** The files of models, those first that were required longest ago; none where there is no such directory yet. */
async function filesOf(directory: string): Promise<ModelFile[]> {
  const names = await readdir(directory).catch(() => [])
  const files: ModelFile[] = []
  for (const name of names) {
    const [, digest, part] = /^([0-9a-f]{64})\.onnx(\.part)?$/.exec(name) ?? []
    if (digest === undefined) continue
    const path = join(directory, name)
    const { size, mtimeMs } = await stat(path)
    files.push({ path, artifact: `sha256:${digest}`, bytes: size, requiredMs: mtimeMs, isWhole: part === undefined })
  }
  return files.sort((a, b) => a.requiredMs - b.requiredMs)
}

export function openModelFiles(
  directory: string,
  link: Pick<ControlLink, 'fetchBlob'>,
  options: { budgetBytes: number; clock: Pick<Clock, 'nowMs'> },
): ModelFiles {
  const running = new Map<string, Promise<string>>()
  const touch = (path: string) => {
    const seconds = options.clock.nowMs() / 1_000
    return utimes(path, seconds, seconds)
  }

  const fetchOne = async (artifact: string, sizeBytes: number): Promise<string> => {
    await mkdir(directory, { recursive: true, mode: 0o700 })
    const path = join(directory, `${artifact.slice('sha256:'.length)}.onnx`)
    if ((await hashOf(path)) === artifact) {
      await touch(path)
      return path
    }
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
    await touch(temporary)
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
    async prune(isKept) {
      const files = await filesOf(directory)
      let bytes = files.reduce((sum, file) => sum + file.bytes, 0)
      for (const { path, artifact, isWhole, bytes: size } of files) {
        if (running.has(artifact) || (isWhole && (isKept(artifact) || bytes <= options.budgetBytes))) continue
        await rm(path, { force: true })
        bytes -= size
      }
    },
  }
}
