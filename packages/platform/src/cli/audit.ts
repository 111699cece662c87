import type { Command } from 'commander'
import { addCommand, addGroup } from './command.ts'
import { connect } from './connection.ts'
import { CommandEnd, EXIT } from './exit-code.ts'
import { printable, table } from './io.ts'

interface Entry {
  seq: string
  at: string
  actor: string
  proof: string
  action: string
  subject: string
}

interface Report {
  ok: boolean
  verified: number
  unjournaled: number
  pending: number
  isJournalTorn: boolean
  head: string
  broken?: {
    position: string | null
    where: string
    reason: string
    row?: { seq: string; kind: string; subject: string; at: string }
  }
}

function reportLines(report: Report): string[] {
  const { broken } = report
  const counts = `${report.verified} rows verified, ${report.pending} not sealed yet, ${report.unjournaled} not in the journal yet`
  if (broken === undefined) return [`The ledger is whole: ${counts}`, `head ${report.head}`]
  const { row } = broken
  return [
    `The ledger is broken at position ${broken.position ?? '—'} (${broken.where}): ${printable(broken.reason)}`,
    ...(row ? [`  row ${row.seq}  ${row.kind}  ${printable(row.subject)}  ${row.at}`] : []),
    `  ${counts}`,
  ]
}

function addList(group: Command): void {
  addCommand<{ subject?: string; limit?: string }>(group, {
    use: 'list',
    summary: 'what was done, by whom, and how they showed who they are',
    example: 'plimsoll audit list --limit 20',
    options: [
      ['--subject <subject>', 'only what was done to it'],
      ['--limit <count>', 'how many, newest first (default: 50)'],
    ],
    action: async ({ io, options }) => {
      const query = { limit: options.limit ?? '50', subject: options.subject }
      const answer = (await connect(options).client.call({ path: '/api/v1/audit', query })) as { entries: Entry[] } // the endpoint's contract
      const rows = answer.entries.map((entry) => [entry.at, entry.actor, entry.proof, entry.action, entry.subject])
      io.answer(answer, table(['at', 'who', 'shown by', 'did', 'to'], rows, 'Nothing was done yet'))
    },
  })
}

export function addAudit(program: Command): void {
  const group = addGroup(program, 'audit', 'the record of what was done, and whether it is whole')
  addList(group)
  addCommand(group, {
    use: 'verify',
    summary: 'recompute the chain of the ledger; name the first broken row',
    example: 'plimsoll audit verify',
    action: async ({ io, options }) => {
      const report = (await connect(options).client.call({
        method: 'POST',
        path: '/api/v1/audit/verify',
        isIdempotent: true,
      })) as Report // the endpoint's contract
      io.answer(report, reportLines(report))
      if (!report.ok) throw new CommandEnd(EXIT.failed)
    },
  })
}
