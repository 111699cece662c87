import { deadLetterPage } from '@plimsoll/sdk/wire'
import type { Command } from 'commander'
import { limitOf, segment } from './argument.ts'
import { addCommand, addGroup } from './command.ts'
import { connect } from './connection.ts'
import { formatInstant, table } from './table.ts'

function addList(group: Command): void {
  addCommand<{ limit?: string }>(group, {
    use: 'list',
    summary: 'what was given up on, and why',
    example: 'plimsoll dead-letter list',
    options: [['--limit <count>', 'how many, newest first (default: 50)']],
    action: async ({ io, options }) => {
      const query = { limit: limitOf(options, 50) }
      const answer = await connect(options).client.call({ path: '/api/v1/dead-letters', query, schema: deadLetterPage })
      const { letters, total } = answer
      io.answer(answer, [
        ...table(
          ['letter', 'kind', { elastic: 'what' }, { elastic: 'subject' }, 'attempts', 'since', { elastic: 'error' }],
          letters.map((one) => [
            one.id,
            one.kind,
            one.consumer === null ? one.type : `${one.type} to ${one.consumer}`,
            one.subject ?? '—',
            String(one.attempts),
            formatInstant(one.since),
            one.error ?? '—',
          ]),
          'No dead letters: nothing was given up on',
        ),
        ...(total > letters.length ? [`These are the newest ${letters.length} of ${total}`] : []),
      ])
    },
  })
}

/** A command that ends a letter's being dead, one way or the other. */
function addEnd(group: Command, verb: 'retry' | 'discard', text: { summary: string; done: string }): void {
  addCommand(group, {
    use: `${verb} <letter>`,
    summary: text.summary,
    example: `plimsoll dead-letter ${verb} job_0192…`,
    action: async ({ io, options, args }) => {
      const path = `/api/v1/dead-letters/${segment(args[0], 'dead letter')}/${verb}`
      await connect(options).client.call({ method: 'POST', path })
      io.answer({ [verb === 'retry' ? 'retried' : 'discarded']: args[0] }, `${args[0]} ${text.done}`)
    },
  })
}

export function addDeadLetter(program: Command): void {
  const group = addGroup(program, 'dead-letter', 'jobs and events that were given up on')
  addList(group)
  addEnd(group, 'retry', { summary: 'try it again, with all its attempts', done: 'is tried again' })
  addEnd(group, 'discard', { summary: 'remove it: nothing will try it again', done: 'is discarded' })
}
