import { readFileSync } from 'node:fs'
import { openClient } from '@plimsoll/sdk/client'
import type { Command } from 'commander'
import { addCommand } from './command.ts'
import { connect } from './connection.ts'
import { UsageError } from './exit-code.ts'
import { table } from './io.ts'

function parseRows(text: string, where: string): unknown[] {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    throw new UsageError(`Cannot read ${where}: it is not JSON`, `Write rows as '[{"origin": "ATL"}]'`)
  }
  return Array.isArray(parsed) ? parsed : [parsed]
}

export function addPredict(program: Command): void {
  addCommand<{ row?: string; file?: string; gateway?: string }>(program, {
    use: 'predict <route>',
    summary: 'ask a route for predictions',
    example: `plimsoll predict flight-delay --row '{"origin": "ATL", "destination": "ORD", "distance": 606}'`,
    options: [
      ['--row <json>', 'one row, or an array of rows'],
      ['--file <path>', 'rows from a file; - for standard input'],
      ['--gateway <url>', 'address of the gateway, when it is not the local one'],
    ],
    action: async ({ io, options, args }) => {
      const rows =
        options.row !== undefined
          ? parseRows(options.row, '--row')
          : options.file !== undefined
            ? parseRows(readFileSync(options.file === '-' ? 0 : options.file, 'utf8'), options.file)
            : undefined
      if (rows === undefined) throw new UsageError('Which rows? They are missing', 'Give --row JSON or --file PATH')
      const gateway = options.gateway ?? connect(options).gateway
      if (gateway === undefined) throw new UsageError('Cannot find the gateway', 'Name it with --gateway')
      const answer = (await openClient({ server: gateway, project: options.project }).call({
        method: 'POST',
        path: `/predict/${encodeURIComponent(args[0]!)}`,
        body: { rows },
      })) as {
        prediction_id: string
        model: string
        version: string
        predictions: Record<string, unknown>[]
      } // the gateway's contract
      const names = Object.keys(answer.predictions[0] ?? {})
      io.answer(answer, [
        ...table(
          names,
          answer.predictions.map((row) => names.map((name) => JSON.stringify(row[name]) ?? '')),
          'no rows',
        ),
        `by ${answer.model}/${answer.version}; ask why: plimsoll explain ${answer.prediction_id}`,
      ])
    },
  })
}
