import type { PassportBound } from '@plimsoll/sdk/wire'
import type { Context } from '../kernel/db/index.ts'
import { PlimsollError } from '../kernel/errors.ts'
import { artifactRoot, requireLoggedModel, requireTrackedRun } from '../tracking/index.ts'
import { versionOfAlias } from './alias.ts'
import { type ModelVersion, requireModelVersion } from './version.ts'
import { mountedUri } from './version-mount.ts'

const HOPS_MAX = 8
const DECODE_ROUNDS_MAX = 8
const SOURCE_MAX = 2_000

/** Where the files of a version are, and what made them. */
export interface ResolvedSource {
  readonly uri: string
  /** Below this path the artifacts that clients logged hold the files; undefined for a source elsewhere. */
  readonly root: string | undefined
  readonly trackedRun: string | null
  readonly loggedModel: string | null
  /** What is known of the files, where a step registered them: a copy of the version is bound to the same. */
  readonly bound?: PassportBound
}

function refuse(message: string): PlimsollError {
  return new PlimsollError('invalid', 'registry.bad_source', message)
}

/** Refuses what decodes to a traversal or a NUL, hosts in file URIs, and local paths that no run or model vouches for. */
export function checkSource(source: string, options: { hasOrigin: boolean }): void {
  if (source.length > SOURCE_MAX) throw refuse(`'source' exceeds the maximum length of ${SOURCE_MAX} characters`)
  const shown = source.slice(0, 200)
  let decoded = source
  for (let round = 0; round < DECODE_ROUNDS_MAX; round++) {
    if (/\p{Cc}|\\/u.test(decoded) || decoded.split(/[/?#]/).includes('..')) {
      throw refuse(
        `Invalid model version source: '${shown}'. If supplying a source as an http, https, local file path, ftp, or similar URI, an absolute path must be provided without relative path references present.`,
      )
    }
    let next: string
    try {
      next = decodeURIComponent(decoded)
    } catch {
      break // a literal % that encodes nothing
    }
    if (next === decoded) break
    if (round === DECODE_ROUNDS_MAX - 1)
      throw refuse(`Invalid model version source: '${shown}'. It is encoded too often`)
    decoded = next
  }
  const file = /^file:(?:\/\/([^/]*))?/i.exec(source)
  if (file?.[1] && file[1] !== 'localhost') {
    throw new PlimsollError(
      'invalid',
      'registry.source_not_remote',
      `MLflow tracking URI '${shown}' is not a valid remote uri.`,
    )
  }
  const isLocal = file !== null || !/^[a-zA-Z][a-zA-Z0-9+.-]*:/.test(source)
  if (isLocal) {
    // this server stores artifacts by digest and reads no path of a client
    const origin = options.hasOrigin
      ? 'the local path has to be contained within the artifact directory of the run'
      : 'the run_id request parameter has to be specified and the local path has to be contained within the artifact directory of the run'
    throw refuse(
      `Invalid model version source: '${shown}'. To use a local path as a model version source, ${origin} specified by the run_id.`,
    )
  }
}

function elsewhere(uri: string): ResolvedSource {
  const root = artifactRoot(uri)
    ?.split('/')
    .filter((segment) => segment !== '')
    .join('/')
  return { uri, root, trackedRun: null, loggedModel: null }
}

function decodeName(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw refuse(`Invalid model version source: '${text.slice(0, 200)}' is no encoded name of a model`)
  }
}

/** Follows `models:/…` and `runs:/…` to where the files are. @throws not_found of the run, model or version named */
export async function resolveSource(ctx: Context, source: string, hops = 0): Promise<ResolvedSource> {
  if (hops > HOPS_MAX) throw refuse(`Invalid model version source: '${source.slice(0, 200)}' refers to itself`)
  const logged = /^models:\/+(m-[0-9a-f]{32})$/.exec(source)
  if (logged) return ofLoggedModel(ctx, logged[1]!)
  const named = /^models:\/+([^/@]+)(?:\/(\d{1,9})|@([^/@]{1,2000}))$/.exec(source)
  if (named) {
    const model = decodeName(named[1]!)
    const version =
      named[2] === undefined ? await versionOfAlias(ctx, { model, alias: decodeName(named[3]!) }) : Number(named[2])
    return resolveVersion(ctx, await requireModelVersion(ctx, { model, version }), hops + 1)
  }
  const run = /^runs:\/+([0-9a-zA-Z][\w-]*)\/?(.*)$/.exec(source)
  if (run) return ofRun(ctx, run[1]!, run[2]!.replace(/\/+$/, ''))
  return elsewhere(source)
}

/** Where the files of a version are: those of one that a step made are laid out by the server. */
export async function resolveVersion(ctx: Context, version: ModelVersion, hops = 0): Promise<ResolvedSource> {
  const uri = mountedUri(version)
  return uri === undefined
    ? resolveSource(ctx, version.source, hops)
    : { ...elsewhere(uri), root: undefined, bound: version.bound }
}

async function ofLoggedModel(ctx: Context, id: string): Promise<ResolvedSource> {
  const model = await requireLoggedModel(ctx, id)
  return { ...elsewhere(model.artifact_uri), trackedRun: model.source_run, loggedModel: id }
}

/** Since MLflow 3 a model of a run lies with the logged model of that name, unless the run's own artifacts hold the path. */
async function ofRun(ctx: Context, id: string, path: string): Promise<ResolvedSource> {
  const run = await requireTrackedRun(ctx, id)
  const own = elsewhere(path === '' ? run.artifact_uri : `${run.artifact_uri}/${path}`)
  const inRun =
    own.root === undefined
      ? undefined
      : await ctx.db
          .selectFrom('tracking_artifact')
          .select('path')
          .where('project', '=', ctx.project)
          .where('path', '>', `${own.root}/`)
          .where('path', '<', `${own.root}0`)
          .limit(1)
          .executeTakeFirst()
  if (inRun === undefined) {
    const model = await ctx.db
      .selectFrom('logged_model')
      .select('id')
      .where('project', '=', ctx.project)
      .where('source_run', '=', id)
      .where('name', '=', path)
      .where('lifecycle', '=', 'active')
      .orderBy('created_ms', 'desc')
      .limit(1)
      .executeTakeFirst()
    if (model) return ofLoggedModel(ctx, model.id)
  }
  return { ...own, trackedRun: id }
}
