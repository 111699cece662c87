import {
  auditPage,
  type LedgerFault,
  type LedgerReport,
  type LedgerRestored,
  ledgerReport,
  ledgerRestored,
} from '@plimsoll/sdk/wire'
import type { Command } from 'commander'
import { countText } from '../kernel/count-text.ts'
import { limitOf } from './argument.ts'
import { addCommand, addGroup } from './command.ts'
import { connect, flagsOf } from './connection.ts'
import { CommandEnd, EXIT, UsageError } from './exit-code.ts'
import { printable } from './io.ts'
import { formatInstant, table } from './table.ts'

function faultLines({ position, where, reason, row }: LedgerFault): string[] {
  return [
    `The ledger is broken at position ${position ?? '—'} (${where}): ${printable(reason)}`,
    ...(row ? [`  row ${row.seq}  ${row.kind}  ${printable(row.subject)}  ${row.at}`] : []),
  ]
}

function reportLines(report: LedgerReport, flags: string): string[] {
  const { broken } = report
  const counts = `${countText(report.verified, 'row')} verified, ${report.pending} not sealed yet, ${report.unjournaled} not in the journal yet`
  if (broken === undefined) return [`The ledger is whole: ${counts}`, `head ${report.head}`]
  const remedy = broken.where === 'journal' ? 'audit repair' : 'audit rebuild'
  return [...faultLines(broken), `  ${counts}`, `  What may mend it: plimsoll ${remedy} --reason WHY${flags}`]
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
      const query = { limit: limitOf(options, 50), subject: options.subject }
      const answer = await connect(options).client.call({ path: '/api/v1/audit', query, schema: auditPage })
      const rows = answer.entries.map((entry) => [
        formatInstant(entry.at),
        entry.actor,
        entry.proof,
        entry.action,
        entry.subject,
      ])
      io.answer(
        answer,
        table(
          ['at', { elastic: 'who' }, 'shown by', 'did', { elastic: 'to' }],
          rows,
          options.subject === undefined ? 'Nothing was done yet' : `Nothing was done to ${printable(options.subject)}`,
        ),
      )
    },
  })
}

interface Restoring {
  readonly use: string
  readonly summary: string
  readonly example: string
  readonly path: string
  /** What is restored, in a refusal. */
  readonly what: string
  readonly nothing: string
  /** What stays of how it was. */
  readonly before: string
}

const REPAIR: Restoring = {
  use: 'repair',
  summary: 'write a journal that was cut or damaged again from the database; the old file is kept',
  example: 'plimsoll audit repair --reason "the disk was restored from a backup"',
  path: '/api/v1/audit/repair-journal',
  what: 'repair the journal',
  nothing: 'Nothing is missing from the journal',
  before: 'The journal as it was',
}
export const REBUILD: Restoring = {
  use: 'rebuild',
  summary: 'put the ledger and the audit of the database back to what the journal says; what it overwrites is kept',
  example: 'plimsoll audit rebuild --reason "rows were changed by hand"',
  path: '/api/v1/audit/rebuild',
  what: 'rebuild the ledger',
  nothing: 'The database says what the journal says',
  before: 'What the database said',
}

/** What was written again, and what does not fit still. */
export function restoredLines(
  { nothing, before }: Restoring,
  { restored, records, kept, broken }: LedgerRestored,
): string[] {
  return [
    ...(restored > 0
      ? [`${restored} of ${countText(records, 'row')} were written again`]
      : broken === undefined
        ? [nothing]
        : []),
    ...(kept === null ? [] : [`${before}: ${printable(kept)}`]),
    ...(broken === undefined
      ? []
      : [
          ...faultLines(broken),
          'The journal cannot mend this row: put back what plimsoll audit list says of it, or a backup',
        ]),
  ]
}

function addRestoring(group: Command, restoring: Restoring): void {
  const { use, summary, example, path, what } = restoring
  addCommand<{ reason?: string }>(group, {
    use,
    summary,
    example,
    options: [['--reason <text>', 'why it has to be; goes into the audit']],
    action: async ({ io, options }) => {
      const { client } = connect(options)
      if (!options.reason) throw new UsageError(`Cannot ${what}: --reason is not given`)
      const body = { reason: options.reason }
      const answer = await client.call({ method: 'POST', path, body, schema: ledgerRestored })
      io.answer(answer, restoredLines(restoring, answer))
      if (answer.broken) throw new CommandEnd(EXIT.failed)
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
      const report = await connect(options).client.call({
        method: 'POST',
        path: '/api/v1/audit/verify',
        isIdempotent: true,
        schema: ledgerReport,
      })
      io.answer(report, reportLines(report, flagsOf(options)))
      if (!report.ok) throw new CommandEnd(EXIT.failed)
    },
  })
  addRestoring(group, REPAIR)
  addRestoring(group, REBUILD)
}
