import type { Command } from 'commander'
import { addCommand } from './command.ts'
import { connect } from './connection.ts'

export function addCancel(program: Command): void {
  addCommand(program, {
    use: 'cancel <run>',
    summary: 'end a run: its steps get SIGTERM, then SIGKILL',
    example: 'plimsoll cancel run_0192…',
    action: async ({ io, options, args }) => {
      const answer = (await connect(options).client.call({
        method: 'POST',
        path: `/api/v1/runs/${encodeURIComponent(args[0]!)}/cancel`,
        isIdempotent: true,
      })) as { state: string } // the endpoint's contract
      io.answer(answer, `run ${args[0]} is ${answer.state}`)
    },
  })
}
