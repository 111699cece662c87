import type { Role } from '@plimsoll/sdk/wire'
import { type ModelDefinition, modelDefinition, type PassportBound } from '@plimsoll/sdk/wire'
import type { Context, Principal } from '../kernel/db/index.ts'
import { type Digest, digestValue } from '../kernel/digest.ts'
import { approve, declareModel, registerModelVersion } from './index.ts'

/** A digest that stands for whatever the word names. */
export function digestOf(word: string): Digest {
  return digestValue(word)
}

/** A principal with a name, who may approve and release unless told otherwise. */
export function person(id: string, role: Role = 'approver'): Principal {
  return { id, kind: 'user', named: true, role, proof: `token:tok_${id}` }
}

/** The bound part of a passport that lacks nothing. `word` tells one artifact from another. */
export function boundOf(word: string, change: Partial<PassportBound> = {}): PassportBound {
  return {
    v: 1,
    artifact: { digest: digestOf(word), sizeBytes: 100, format: 'onnx' },
    code: { source: 'flights', commit: 'c0ffee'.padEnd(40, '0'), isDirty: false, bundle: digestOf('bundle') },
    data: [{ role: 'training', name: 'flights', digest: digestOf('flights'), step: 'fit' }],
    environment: { lock: digestOf('lock'), interpreter: 'cpython-3.12.1', platform: 'linux-x86_64' },
    signature: {
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 1] }],
      outputs: [{ name: 'p', datatype: 'FP32', shape: [-1, 1] }],
      maxBatchSize: 64,
    },
    metrics: { auc: 0.78 },
    origin: { pipeline: 'train', pipelineDigest: digestOf('pipeline'), run: null, step: null, trackedRun: null },
    parents: [],
    ...change,
  }
}

/** A model whose notes have no gap. */
export function modelOf(name: string, change: Partial<ModelDefinition> = {}): ModelDefinition {
  return modelDefinition.parse({
    kind: 'model',
    name,
    owner: 'ops',
    intent: { intendedUse: 'tells late flights', limitations: 'domestic flights only' },
    ...change,
  })
}

export async function addModel(ctx: Context, definition: ModelDefinition): Promise<void> {
  await ctx.transaction((tx) => declareModel(tx, definition))
}

export async function addVersion(
  ctx: Context,
  model: string,
  word: string,
  change: Partial<PassportBound> = {},
): Promise<number> {
  const { version } = await ctx.transaction((tx) =>
    registerModelVersion(tx, { model, source: `plimsoll:${word}`, bound: boundOf(word, change) }),
  )
  return version
}

export async function approveAs(
  ctx: Context,
  by: Principal,
  key: { model: string; version: number; environment?: string; comment?: string },
) {
  return ctx
    .as({ principal: by })
    .transaction((tx) => approve(tx, { environment: 'production', comment: 'looks right', ...key }))
}

/** What the audit says so far, oldest first. */
export async function auditOf(ctx: Context) {
  return ctx.db.selectFrom('audit').select(['actor', 'action', 'subject', 'data']).orderBy('seq').execute()
}
