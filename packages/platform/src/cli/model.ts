import { modelVersionView } from '@plimsoll/sdk/wire'
import type { Command } from 'commander'
import { addCommand, addGroup } from './command.ts'
import { connect } from './connection.ts'
import { UsageError } from './exit-code.ts'
import { printable, table } from './io.ts'

/** `flight-delay/3`: a model and a version. */
export function parseModelVersion(text: string | undefined): { model: string; version: number } {
  const match = /^(.+)\/([1-9]\d{0,8})$/.exec(text ?? '')
  if (match === null)
    throw new UsageError(`Cannot read "${text ?? ''}": a version is named MODEL/NUMBER`, 'For example flight-delay/3')
  return { model: match[1]!, version: Number(match[2]) }
}

export function versionPath(text: string | undefined): string {
  const { model, version } = parseModelVersion(text)
  return `/api/v1/models/${encodeURIComponent(model)}/versions/${version}`
}

function addList(group: Command): void {
  addCommand(group, {
    use: 'list [model]',
    summary: 'registered models, or the versions of one',
    example: 'plimsoll model list flight-delay',
    action: async ({ io, options, args }) => {
      const { client } = connect(options)
      if (args[0] !== undefined) {
        const answer = (await client.call({ path: `/api/v1/models/${encodeURIComponent(args[0])}/versions` })) as {
          versions: {
            version: number
            aliases: string[]
            artifact: string | null
            createdBy: string
            createdAt: string
          }[]
        } // the endpoint's contract
        const rows = answer.versions.map((one) => [
          String(one.version),
          one.aliases.join(', '),
          one.artifact?.slice(0, 19) ?? '—',
          one.createdBy,
          one.createdAt,
        ])
        io.answer(
          answer,
          table(['version', 'aliases', 'artifact', 'by', 'made'], rows, `${args[0]} has no version yet`),
        )
        return
      }
      const answer = (await client.call({ path: '/api/v1/models' })) as {
        models: { name: string; latest: number | null; champion: number | null }[]
      } // the endpoint's contract
      const rows = answer.models.map((one) => [one.name, String(one.latest ?? '—'), String(one.champion ?? '—')])
      io.answer(
        answer,
        table(['model', 'latest', 'champion'], rows, 'No model yet. A pipeline with a register step makes one'),
      )
    },
  })
}

function addShow(group: Command): void {
  addCommand<{ environment?: string }>(group, {
    use: 'show <model/version>',
    summary: 'the passport of a version: what it is made of, what it lacks, who approved it',
    example: 'plimsoll model show flight-delay/3',
    options: [['--environment <name>', 'whose demands to check (default: production)']],
    action: async ({ io, options, args }) => {
      const view = await connect(options).client.call({
        path: versionPath(args[0]),
        query: { environment: options.environment },
        schema: modelVersionView,
      })
      const { bound } = view
      io.answer(view, [
        `${view.model}/${view.version}${view.aliases.length > 0 ? `  (${view.aliases.join(', ')})` : ''}`,
        `  passport  ${view.passport}`,
        `  artifact  ${bound.artifact.digest ?? '—'}  ${bound.artifact.format}, ${bound.artifact.sizeBytes} bytes`,
        `  code      ${bound.code ? `${bound.code.commit ?? 'no commit'}${bound.code.isDirty ? ' with changes' : ''}` : '—'}`,
        ...bound.data.map((data) => `  data      ${data.name}  ${data.digest} (${data.role})`),
        ...Object.entries(bound.metrics).map(([name, value]) => `  metric    ${printable(name)} = ${value}`),
        ...view.approvals.map(
          (approval) =>
            `  approved  by ${approval.by} for ${approval.environment}${approval.isSelfApproved ? ' (self-approved)' : ''}${approval.isValid ? '' : ' — void'}`,
        ),
        ...view.gaps.map((gap) => `  lacks     ${gap.field}: ${printable(gap.detail)} — ${printable(gap.command)}`),
        ...(view.gaps.length === 0 ? [`  ready for ${view.environment}`] : []),
      ])
    },
  })
}

export function addModel(program: Command): void {
  const group = addGroup(program, 'model', 'registered models and their versions')
  addList(group)
  addShow(group)
}
