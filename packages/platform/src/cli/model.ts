import type { Client } from '@plimsoll/sdk/client'
import { givenApproval, type ModelVersionView, modelList, modelVersionList, modelVersionView } from '@plimsoll/sdk/wire'
import type { Command } from 'commander'
import { allPages, PAGE } from './all-pages.ts'
import { segment, wholeNumber } from './argument.ts'
import { addCommand, addGroup } from './command.ts'
import { connect, flagsOf } from './connection.ts'
import { UsageError } from './exit-code.ts'
import { printable } from './io.ts'
import { formatInstant, table } from './table.ts'

function short(digest: string | null): string {
  return digest === null ? 'none' : digest.slice(0, 19)
}

function metricText(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toPrecision(Math.abs(value) >= 1_000 ? 7 : 4)
}

function metricsText(metrics: Readonly<Record<string, number>>): string {
  return Object.entries(metrics)
    .map(([name, value]) => `${name} ${metricText(value)}`)
    .join(', ')
}

const LABELS_SHOWN = 12

/** Classes of a classifier's outputs, and what the artifact was derived from: of a version that has any. */
function derivedLines({ parents, signature }: ModelVersionView['bound']): string[] {
  const shown = (labels: readonly string[]) =>
    `${labels.slice(0, LABELS_SHOWN).join(', ')}${labels.length > LABELS_SHOWN ? ` and ${labels.length - LABELS_SHOWN} more` : ''}`
  return [
    ...parents.map((parent) => `  parent       ${parent}`),
    ...(signature?.outputs ?? []).flatMap(({ name, labels }) =>
      labels ? [`  classes      ${shown(labels)} (columns of ${name})`] : [],
    ),
  ]
}

function madeText({ createdAt, createdBy, run, bound }: ModelVersionView): string {
  const by = `${createdAt.slice(0, 19)} by ${createdBy}`
  if (run === null) return by
  const { step } = bound.origin
  return step === null ? `${by}, ${run}` : `${by}, ${run}/${step}`
}

/** What `model show` prints of a version; `flags` are those with which the server was asked. */
export function describeVersion(version: ModelVersionView, flags: string): string[] {
  const { bound, notesRevision: said } = version
  return [
    `${version.model}/${version.version}${version.aliases.length > 0 ? `  @${version.aliases.join(' @')}` : ''}`,
    `  artifact     ${version.artifact ?? 'none'}`,
    ...derivedLines(bound),
    `  passport     ${version.passport}`,
    `  made         ${madeText(version)}`,
    `  commit       ${bound.code?.commit ?? 'unknown'}${bound.code?.isDirty ? ' (dirty)' : ''}`,
    `  data         ${bound.data.map((data) => `${data.name} ${short(data.digest)}`).join(', ') || 'unknown'}`,
    `  environment  ${bound.environment?.lock ? short(bound.environment.lock) : 'no lock'}${bound.environment?.interpreter ? ` ${bound.environment.interpreter}` : ''}`,
    `  metrics      ${metricsText(bound.metrics) || 'none'}`,
    ...(said === null ? [] : [`  notes        ${short(said.digest)} by ${said.by}, ${said.at.slice(0, 19)}`]),
    `  approvals    ${
      version.approvals
        .filter((approval) => approval.isValid)
        .map(
          (approval) =>
            `${approval.by} for ${approval.environment}${approval.isSelfApproved ? ' (self-approved)' : ''}`,
        )
        .join(', ') || 'none'
    }`,
    ...(version.gaps.length === 0
      ? [`  nothing is missing for ${version.environment}`]
      : [
          `  missing for ${version.environment}:`,
          ...version.gaps.flatMap((gap) => [`    ${gap.field}: ${gap.detail}`, `      → ${gap.command}`]),
          ...(flags === '' ? [] : [`  commands named here need${flags}`]),
        ]),
  ].map(printable)
}

/** The version that was registered last. */
async function newestVersion(client: Client, model: string): Promise<string> {
  const path = `/api/v1/models/${segment(model, 'model')}/versions`
  const { versions } = await client.call({ path, query: { limit: 1 }, schema: modelVersionList })
  const [newest] = versions
  if (newest === undefined)
    throw new UsageError(`Cannot show ${model}: it has no versions yet`, 'Run a pipeline that registers one')
  return String(newest.version)
}

/** `MODEL VERSION`, or `MODEL/VERSION` as we print it; the version is undefined where none is named. */
function parseVersion([model = '', version]: readonly string[]): readonly [model: string, version: string | undefined] {
  const [, name, number] = version === undefined ? (/^(.+)\/(\d+)$/.exec(model) ?? []) : []
  return name === undefined ? [model, version] : [name, number]
}

function versionPath(model: string, version: string | undefined): string {
  return `/api/v1/models/${segment(model, 'model')}/versions/${wholeNumber(version, 'a version')}`
}

/** `model list|versions|show`. */
export function addModel(program: Command): void {
  const model = addGroup(program, 'model', 'look at registered models and their passports')
  addCommand(model, {
    use: 'list',
    summary: 'list registered models',
    example: 'plimsoll model list',
    action: async ({ io, options }) => {
      const { client } = connect(options)
      const models = await allPages(async (after) => {
        const page = await client.call({ path: '/api/v1/models', query: { after, limit: PAGE }, schema: modelList })
        return { entries: page.models, next: page.next }
      })
      io.answer(
        { models },
        table(
          [{ elastic: 'model' }, 'versions', 'champion', { elastic: 'description' }],
          models.map((entry) => [
            entry.name,
            String(entry.versions),
            entry.champion === null ? 'none' : String(entry.champion),
            entry.description,
          ]),
          'No models yet',
        ),
      )
    },
  })
  addCommand(model, {
    use: 'versions <model>',
    summary: 'list the versions of a model, newest first',
    example: 'plimsoll model versions flight-delay',
    action: async ({ io, options, args }) => {
      const { client } = connect(options)
      const path = `/api/v1/models/${segment(args[0], 'model')}/versions`
      const versions = await allPages(async (before) => {
        const page = await client.call({ path, query: { before, limit: PAGE }, schema: modelVersionList })
        return { entries: page.versions, next: page.next === null ? null : String(page.next) }
      })
      io.answer(
        { versions },
        table(
          ['version', 'artifact', 'created', { elastic: 'aliases' }, { elastic: 'metrics' }],
          versions.map((version) => [
            String(version.version),
            short(version.artifact),
            formatInstant(version.createdAt),
            version.aliases.map((alias) => `@${alias}`).join(' '),
            metricsText(version.metrics),
          ]),
          `${args[0]} has no versions yet`,
        ),
      )
    },
  })
  addCommand<{ environment?: string }>(model, {
    use: 'show <model> [version]',
    summary:
      'show the passport of a version (MODEL VERSION, MODEL/VERSION, or the newest of MODEL), and what is missing for an environment',
    example: 'plimsoll model show flight-delay 2',
    options: [['--environment <name>', 'environment to check against (default: production)']],
    action: async ({ io, options, args }) => {
      const { client } = connect(options)
      const [name, version] = parseVersion(args)
      const view = await client.call({
        path: versionPath(name, version ?? (await newestVersion(client, name))),
        query: { environment: options.environment },
        schema: modelVersionView,
      })
      io.answer(view, describeVersion(view, flagsOf(options)))
    },
  })
}

/** `approve`: a signed statement about a version, that a release binds. */
export function addApprove(program: Command): void {
  addCommand<{ environment?: string; comment?: string }>(program, {
    use: 'approve <model> [version]',
    summary: 'approve a version (MODEL VERSION or MODEL/VERSION) for an environment, as a named person',
    example: 'plimsoll approve flight-delay 2 --comment "reviewed with operations" --token-file ada.token',
    options: [
      ['--environment <name>', 'environment (default: production)'],
      ['--comment <text>', 'what you looked at'],
    ],
    action: async ({ io, options, args }) => {
      const { client } = connect(options)
      const [model, version] = parseVersion(args)
      if (version === undefined)
        throw new UsageError(`Cannot approve ${model}: no version is named`, `See plimsoll model versions ${model}`)
      const answer = await client.call({
        method: 'POST',
        path: `${versionPath(model, version)}/approvals`,
        body: { environment: options.environment ?? 'production', comment: options.comment ?? '' },
        schema: givenApproval,
        isIdempotent: true,
      })
      const { by, at, environment, isSelfApproved } = answer.approval
      const what = `${model}/${version} for ${environment}`
      io.answer(answer, [
        answer.isNew
          ? `${by} approves ${what}${isSelfApproved ? ', recorded as self-approved' : ''}`
          : `${by} had approved ${what} already, at ${formatInstant(at)}: nothing was changed`,
        ...answer.gaps.map((gap) => `still missing: ${gap.field}: ${gap.detail}`),
      ])
    },
  })
}
