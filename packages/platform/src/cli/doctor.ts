import type { Command } from 'commander'
import { countText } from '../kernel/count-text.ts'
import { addCommand } from './command.ts'
import { type Finding, findings } from './doctor/index.ts'
import { CommandEnd, EXIT } from './exit-code.ts'
import { printable } from './io.ts'

const MARKS = { ok: '✓', missing: '·', problem: '✗' } as const

/** Ports that others hold are no problem of the machine, but `plimsoll up` as it is would end with one. */
function closingLine(found: readonly Finding[]): string {
  const problems = found.filter(({ state }) => state === 'problem').length
  if (problems > 0) return `${countText(problems, 'thing')} must be put right.`
  const ports = found.find(({ name, state }) => name === 'ports' && state === 'missing')
  return `Everything that is needed is here${ports === undefined ? '.' : `, but for ports: ${ports.cost}`}`
}

export function addDoctor(program: Command): void {
  addCommand(program, {
    use: 'doctor',
    summary: 'say what is present and missing here, what each lack costs, and which guarantees hold',
    example: 'plimsoll doctor',
    isRemote: false,
    options: [
      ['--data-dir <dir>', 'data directory to look at (default: .plimsoll)'],
      [
        '--server <url>',
        'address of a control plane to ask of its gateways (default: the one that runs on the data directory)',
      ],
      ['--token-file <file>', 'file with a token; PLIMSOLL_TOKEN does the same'],
    ],
    action: async ({ io, options }) => {
      const found = await findings(options)
      const problems = found.filter((finding) => finding.state === 'problem')
      const line = (finding: Finding) =>
        `${MARKS[finding.state]} ${finding.name.padEnd(22)} ${printable(finding.found)}${finding.cost ? `\n    ${finding.cost}` : ''}`
      const groups = [...new Set(found.map((finding) => finding.group))]
      const text = groups.flatMap((group) => [
        `${group}:`,
        ...found.filter((finding) => finding.group === group).map(line),
        '',
      ])
      io.answer({ ok: problems.length === 0, findings: found }, [...text, closingLine(found)])
      if (problems.length > 0) throw new CommandEnd(EXIT.infrastructure)
    },
  })
}
