import type { ModelPool } from '../../inference/index.ts'
import { toPlimsollError } from '../../kernel/errors.ts'
import type { Logger } from '../../kernel/log.ts'
import type { ModelFiles } from './model-files.ts'

export interface WarmModels {
  /** Models that a snapshot is being made ready with: they stay until `settle`. */
  need(artifacts: readonly string[]): void
  /** Of the models needed so far only these serve: the others leave memory after their time, and files make room. */
  settle(serving: readonly string[]): Promise<void>
  close(): void
}

/** Models in memory: those that serve, and for a while those that did, so that a rollback is quick. */
export function openWarmModels(deps: {
  readonly pool: Pick<ModelPool, 'unload'>
  readonly files: Pick<ModelFiles, 'prune'>
  readonly log: Logger
  readonly retainMs: number
}): WarmModels {
  /** With the timer that ends it, where it does not serve. */
  const warm = new Map<string, NodeJS.Timeout | undefined>()
  const leaving = new Set<string>()

  const prune = () =>
    deps.files
      .prune((artifact) => warm.has(artifact) || leaving.has(artifact))
      .catch((thrown: unknown) =>
        deps.log.warn({ reason: toPlimsollError(thrown).message }, 'files of models could not be removed'),
      )
  const unload = async (artifact: string) => {
    warm.delete(artifact)
    leaving.add(artifact)
    try {
      await deps.pool.unload(artifact)
    } catch (thrown) {
      deps.log.warn({ reason: toPlimsollError(thrown).message, artifact }, 'a model could not be unloaded')
    }
    leaving.delete(artifact)
    await prune()
  }

  return {
    need(artifacts) {
      for (const artifact of artifacts) {
        clearTimeout(warm.get(artifact))
        warm.set(artifact, undefined)
      }
    },
    async settle(serving) {
      const kept = new Set(serving)
      for (const [artifact, timer] of warm) {
        if (kept.has(artifact) || timer !== undefined) continue
        warm.set(artifact, setTimeout(() => void unload(artifact), deps.retainMs).unref())
      }
      await prune()
    },
    close() {
      for (const timer of warm.values()) clearTimeout(timer)
    },
  }
}
