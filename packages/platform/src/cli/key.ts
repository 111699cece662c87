import { readFileSync } from 'node:fs'
import { ClientError } from '@plimsoll/sdk/client'
import { keyList, keyView } from '@plimsoll/sdk/wire'
import type { Command } from 'commander'
import { errnoText } from '../kernel/errno-text.ts'
import { segment } from './argument.ts'
import { addCommand, addGroup } from './command.ts'
import { connect } from './connection.ts'
import { UsageError } from './exit-code.ts'
import { table } from './table.ts'

function addAdd(group: Command): void {
  addCommand<{ role?: string }>(group, {
    use: 'add <principal> <file>',
    summary: 'register a person’s public SSH key, with which they may sign what they do',
    example: 'plimsoll key add alice ~/.ssh/id_ed25519.pub --role approver',
    options: [['--role <role>', 'also give them this role on the project']],
    action: async ({ io, options, args }) => {
      let text: string
      try {
        text = readFileSync(args[1]!, 'utf8')
      } catch (error) {
        throw new UsageError(
          `Cannot read ${args[1]}: ${errnoText(error)}`,
          'Name the file of the public key, such as ~/.ssh/id_ed25519.pub',
        )
      }
      if (text.includes('PRIVATE KEY'))
        throw new UsageError(
          `${args[1]} is a private key, which must stay with its owner`,
          'Name the file that ends in .pub',
        )
      const { client } = connect(options)
      const key = await client
        .call({
          method: 'POST',
          path: '/api/v1/keys',
          body: { principal: args[0], public_key: text.trim() },
          schema: keyView,
        })
        .catch((error: unknown) => {
          if (!(error instanceof ClientError) || error.code !== 'auth.bad_ssh') throw error
          throw new UsageError(
            `Cannot use ${args[1]} as a public SSH key: ${error.message}`,
            'Name the file that ends in .pub',
          )
        })
      if (options.role !== undefined)
        await client.call({
          method: 'PUT',
          path: `/api/v1/grants/${segment(args[0], 'principal')}`,
          body: { role: options.role },
        })
      io.answer(
        key,
        `${key.fingerprint} speaks for ${key.principal}${options.role ? `, who is ${options.role} here` : ''}`,
      )
    },
  })
}

export function addKey(program: Command): void {
  const group = addGroup(program, 'key', 'SSH keys of people, for signing what they do')
  addAdd(group)
  addCommand(group, {
    use: 'list',
    summary: 'registered keys',
    example: 'plimsoll key list',
    action: async ({ io, options }) => {
      const answer = await connect(options).client.call({ path: '/api/v1/keys', schema: keyList })
      io.answer(
        answer,
        table(
          ['key', { elastic: 'principal' }, { elastic: 'fingerprint' }, 'state'],
          answer.keys.map((key) => [key.id, key.principal, key.fingerprint, key.revoked_at ? 'revoked' : 'live']),
          'No key yet',
        ),
      )
    },
  })
  addCommand(group, {
    use: 'revoke <key>',
    summary: 'end a key',
    example: 'plimsoll key revoke key_0192…',
    action: async ({ io, options, args }) => {
      await connect(options).client.call({ method: 'DELETE', path: `/api/v1/keys/${segment(args[0], 'key')}` })
      io.answer({ revoked: args[0] }, `${args[0]} is revoked`)
    },
  })
}
