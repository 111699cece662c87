import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { Client } from '@plimsoll/sdk/client'
import { pipelineVersion } from '@plimsoll/sdk/wire'
import { digestFile } from '../kernel/digest.ts'
import { segment } from './argument.ts'

/** More, and looking at them would be felt. */
const FILES_MAX = 200

/** One that cannot be read is not said to differ. */
function isOfDigest(path: string, digest: string): Promise<boolean> {
  return digestFile(path).then(
    (now) => now.digest === digest,
    () => true,
  )
}

/**
 * Files of this project that the steps of a pipeline have otherwise: a run takes them as they were applied. None where the
 * pipeline is not there, or this folder is no project. Of TypeScript, which is bundled, none is compared.
 */
export async function findUnapplied(client: Client, pipeline: string): Promise<string[]> {
  const { requireProjectFile } = await import('../definitions/client/index.ts') // what reads projects is loaded for this alone
  if ((await requireProjectFile(process.cwd()).catch(() => undefined)) === undefined) return []
  const path = `/api/v1/pipelines/${segment(pipeline, 'pipeline')}`
  const applied = await client.call({ path, schema: pipelineVersion }).catch(() => undefined)
  const isBundled = new Set(applied?.definition.steps.flatMap(({ key, kind }) => (kind === 'typescript' ? [key] : [])))
  const files = new Map(
    Object.entries(applied?.bundles ?? {}).flatMap(([step, bundle]) =>
      isBundled.has(step) ? [] : bundle.files.map((file) => [file.path, file] as const),
    ),
  )
  const changed: string[] = []
  for (const file of [...files.values()].slice(0, FILES_MAX)) {
    const here = resolve(file.path)
    const found = await stat(here).catch(() => undefined)
    if (!found?.isFile()) continue
    if (found.size !== file.sizeBytes || !(await isOfDigest(here, file.digest))) changed.push(file.path)
  }
  return changed
}
