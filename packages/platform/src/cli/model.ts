import {
  approvalView,
  type ModelVersionView,
  modelSummary,
  modelVersionSummary,
  modelVersionView,
  passportGap,
} from '@plimsoll/sdk/wire'
import type { Command } from 'commander'
import { z } from 'zod'
import { addCommand, addGroup } from './command.ts'
import { connect } from './connection.ts'

function short(digest: string | null): string {
  return digest === null ? 'none' : digest.slice(0, 19)
}

function describeVersion(version: ModelVersionView): string[] {
  const { bound } = version
  return [
    `${version.model}/${version.version}${version.aliases.length > 0 ? `  @${version.aliases.join(' @')}` : ''}`,
    `  artifact     ${version.artifact ?? 'none'}`,
    `  passport     ${version.passport}`,
    `  commit       ${bound.code?.commit ?? 'unknown'}${bound.code?.isDirty ? ' (dirty)' : ''}`,
    `  data         ${bound.data.map((data) => `${data.name} ${short(data.digest)}`).join(', ') || 'unknown'}`,
    `  environment  ${bound.environment?.lock ? short(bound.environment.lock) : 'no lock'} ${bound.environment?.interpreter ?? ''}`,
    `  metrics      ${
      Object.entries(bound.metrics)
        .map(([name, value]) => `${name} ${value.toPrecision(4)}`)
        .join(', ') || 'none'
    }`,
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
          ...version.gaps.map((gap) => `    ${gap.field}: ${gap.detail}\n      → ${gap.command}`),
        ]),
  ]
}

/** `model list|versions|show` and `approve`. */
export function addModel(program: Command): void {
  const model = addGroup(program, 'model', 'look at registered models and their passports')
  addCommand(model, {
    use: 'list',
    summary: 'list registered models',
    example: 'plimsoll model list',
    action: async ({ io, options }) => {
      const { models } = await connect(options).client.call({
        path: '/api/v1/models',
        schema: z.object({ models: z.array(modelSummary) }),
      })
      io.answer(
        { models },
        models.length === 0
          ? 'No models yet'
          : models.map(
              (entry) => `${entry.name.padEnd(32)} ${entry.versions} versions, champion ${entry.champion ?? 'none'}`,
            ),
      )
    },
  })
  addCommand(model, {
    use: 'versions <model>',
    summary: 'list the versions of a model, newest first',
    example: 'plimsoll model versions flight-delay',
    action: async ({ io, options, args }) => {
      const { versions } = await connect(options).client.call({
        path: `/api/v1/models/${encodeURIComponent(args[0]!)}/versions`,
        schema: z.object({ versions: z.array(modelVersionSummary) }),
      })
      io.answer(
        { versions },
        versions.map(
          (version) =>
            `${version.model}/${version.version}  ${short(version.artifact)}  ${version.createdAt}  ${version.aliases.join(' ')}`,
        ),
      )
    },
  })
  addCommand<{ environment?: string }>(model, {
    use: 'show <model> <version>',
    summary: 'show the passport of a version, and what is missing for an environment',
    example: 'plimsoll model show flight-delay 2',
    options: [['--environment <name>', 'environment to check against (default: production)']],
    action: async ({ io, options, args }) => {
      const view = await connect(options).client.call({
        path: `/api/v1/models/${encodeURIComponent(args[0]!)}/versions/${args[1]}`,
        query: { environment: options.environment },
        schema: modelVersionView,
      })
      io.answer(view, describeVersion(view))
    },
  })
  addCommand<{ environment?: string; comment?: string }>(program, {
    use: 'approve <model> <version>',
    summary: 'approve a version for an environment, as a named person',
    example: 'plimsoll approve flight-delay 2 --comment "reviewed with operations" --token-file ada.token',
    options: [
      ['--environment <name>', 'environment (default: production)'],
      ['--comment <text>', 'what you looked at'],
    ],
    action: async ({ io, options, args }) => {
      const answer = await connect(options).client.call({
        method: 'POST',
        path: `/api/v1/models/${encodeURIComponent(args[0]!)}/versions/${args[1]}/approvals`,
        body: { environment: options.environment ?? 'production', comment: options.comment ?? '' },
        schema: z.object({ approval: approvalView, gaps: z.array(passportGap) }),
        isIdempotent: true,
      })
      io.answer(answer, [
        `${answer.approval.by} approves ${args[0]}/${args[1]} for ${answer.approval.environment}${answer.approval.isSelfApproved ? ', recorded as self-approved' : ''}`,
        ...answer.gaps.map((gap) => `still missing: ${gap.field}: ${gap.detail}`),
      ])
    },
  })
}
