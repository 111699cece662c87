import type { PassportGap } from '@plimsoll/sdk/wire'
import { canonicalJson, type Json } from '../kernel/canonical.ts'
import type { Context } from '../kernel/db/index.ts'
import { member } from '../kernel/own-member.ts'
import { shellWord } from '../kernel/shell-word.ts'
import { approvalsOf } from './approval.ts'
import { findModel } from './model.ts'
import { notesOf } from './model-notes.ts'
import { type ModelVersion, requireModelVersion } from './version.ts'

/** A text that reads as JSON is given as JSON, so that it is a text again. */
function paramText(value: Json): string {
  if (typeof value !== 'string') return canonicalJson(value)
  try {
    JSON.parse(value)
    return canonicalJson(value)
  } catch {
    return value
  }
}

/** What the run that made a version had other than the defaults that are declared now, as flags that give it again. */
async function paramFlags(ctx: Context, { run, bound }: ModelVersion): Promise<string> {
  if (run === null || bound.origin.pipelineDigest === null) return ''
  const made = await ctx.db
    .selectFrom('pipeline_run as r')
    .leftJoin('pipeline as p', (join) => join.onRef('p.project', '=', 'r.project').onRef('p.name', '=', 'r.pipeline'))
    .innerJoin('pipeline_version as v', (join) =>
      join
        .onRef('v.project', '=', 'r.project')
        .on(({ eb, fn, ref }) => eb('v.digest', '=', fn.coalesce('p.digest', ref('r.pipeline_digest')))),
    )
    .select(['r.params', 'v.definition'])
    .where('r.project', '=', ctx.project)
    .where('r.id', '=', run)
    .executeTakeFirst()
  if (!made) return ''
  const isGiven = ([name, value]: [string, Json]) => {
    const declared = member(made.definition.params, name)
    if (declared === undefined) return false // the pipeline takes it no longer
    return declared.default === undefined || canonicalJson(value) !== canonicalJson(declared.default as Json)
  }
  const given = Object.entries(made.params).filter(isGiven)
  const asked = Object.entries(made.definition.params).filter(
    ([name, param]) => param.default === undefined && !Object.hasOwn(made.params, name),
  )
  return [
    ...given.map(([name, value]) => ` --param ${shellWord(`${name}=${paramText(value)}`)}`),
    ...asked.map(([name]) => ` --param ${name}=VALUE`),
  ].join('')
}

function boundGaps(version: ModelVersion, flags: string): PassportGap[] {
  const { bound, model } = version
  const anew = `plimsoll apply && plimsoll run start ${bound.origin.pipeline ?? 'PIPELINE'}${flags}`
  const gaps: PassportGap[] = []
  const add = (field: string, detail: string, command: string) => gaps.push({ field, detail, command })
  if (bound.artifact.digest === null)
    add('artifact', 'no artifact is stored for it', `give the pipeline a register step for ${model}, then ${anew}`)
  if (bound.code === null || bound.code.commit === null)
    add('code.commit', 'it is not known from which commit it was made', `git commit, then ${anew}`)
  else if (bound.code.isDirty)
    add(
      'code.dirty',
      `the tree had changes that are not in commit ${bound.code.commit.slice(0, 12)}`,
      `git commit, then ${anew}`,
    )
  if (bound.data.length === 0)
    add(
      'data',
      'it is not known from which data it was made',
      `give the step its training data as an input, then ${anew}`,
    )
  if (bound.environment === null || bound.environment.lock === null)
    add('environment.lock', 'its step had no lock file', `give the step a lock, then ${anew}`)
  if (bound.signature === null)
    add(
      'signature',
      'the model has not been run against its signature',
      `give the pipeline a register step for ${model}, then ${anew}`,
    )
  if (Object.keys(bound.metrics).length === 0)
    add(
      'metrics',
      'it has no metrics',
      `give the training step an output metrics of type json, or log with mlflow in it (docs/guide/pipelines.md), then ${anew}`,
    )
  return gaps
}

/**
 * Everything that an environment demands and the version lacks, all at once, each with the command that fills it.
 * Registration never asks this; moving to an environment does.
 */
export async function passportGaps(
  ctx: Context,
  key: { model: string; version: number; environment: string },
): Promise<PassportGap[]> {
  const version = await requireModelVersion(ctx, key)
  const notes = await notesOf(ctx, key.model)
  const gaps = boundGaps(version, await paramFlags(ctx, version))
  const define = (field: string) => `set ${field} in defineModel({ name: '${key.model}' }) and run plimsoll apply`
  if (notes.owner === null)
    gaps.push({ field: 'notes.owner', detail: 'nobody is named as its owner', command: define('owner') })
  if (notes.intendedUse === null)
    gaps.push({
      field: 'notes.intendedUse',
      detail: 'its purpose is not stated',
      command: define('intent.intendedUse'),
    })
  if (notes.limitations === null)
    gaps.push({
      field: 'notes.limitations',
      detail: 'its limits are not stated',
      command: define('intent.limitations'),
    })
  const needed =
    (await findModel(ctx, key.model))?.definition?.approvals[key.environment] ??
    (key.environment === 'production' ? 1 : 0)
  const approvers = new Set((await approvalsOf(ctx, key)).map((approval) => approval.by))
  if (approvers.size < needed) {
    gaps.push({
      field: 'approvals',
      detail: `${key.environment} needs ${needed}, it has ${approvers.size}`,
      // the operator's own token names nobody
      command: `plimsoll approve ${shellWord(key.model)} ${key.version} --environment ${key.environment} --token-file APPROVER.token`,
    })
  }
  return gaps
}
