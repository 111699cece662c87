import { existsSync, writeFileSync } from 'node:fs'
import type { Command } from 'commander'
import { addCommand, addGroup } from './command.ts'
import { connect } from './connection.ts'
import { UsageError } from './exit-code.ts'
import { table } from './io.ts'

function addCreate(group: Command): void {
  addCommand<{ role?: string; days?: string; name?: string; out?: string }>(group, {
    use: 'create <principal>',
    summary: 'make a token of a named person or program; it is shown once',
    example: 'plimsoll token create alice --role approver --out ~/.plimsoll-token',
    options: [
      ['--role <role>', 'viewer, editor, approver or admin (default: editor)'],
      ['--days <days>', 'how long it holds (default: 90)'],
      ['--name <text>', 'what it is for'],
      ['--out <file>', 'write it to this file, readable by you alone, instead of showing it'],
    ],
    action: async ({ io, options, args }) => {
      const days = options.days === undefined ? undefined : Number(options.days)
      if (days !== undefined && !Number.isInteger(days)) throw new UsageError('--days must be a whole number')
      if (options.out !== undefined && existsSync(options.out))
        throw new UsageError(`Cannot write the token to ${options.out}: the file exists`)
      const body = {
        principal: args[0],
        role: options.role ?? 'editor',
        ...(days === undefined ? {} : { days }),
        ...(options.name === undefined ? {} : { name: options.name }),
      }
      const issued = (await connect(options).client.call({ method: 'POST', path: '/api/v1/tokens', body })) as {
        id: string
        token: string
        expires_at: string
      } // the endpoint's contract
      if (options.out !== undefined) {
        writeFileSync(options.out, `${issued.token}\n`, { mode: 0o600, flag: 'wx' })
        io.answer(
          { id: issued.id, file: options.out, expires_at: issued.expires_at },
          `${issued.id} of ${args[0]} is in ${options.out} until ${issued.expires_at}`,
        )
        return
      }
      io.answer(issued, [issued.token, `${issued.id}; it is not shown again, and holds until ${issued.expires_at}`])
    },
  })
}

export function addToken(program: Command): void {
  const group = addGroup(program, 'token', 'tokens of named people and programs')
  addCreate(group)
  addCommand(group, {
    use: 'list',
    summary: 'tokens of the project, without their text',
    example: 'plimsoll token list',
    action: async ({ io, options }) => {
      const answer = (await connect(options).client.call({ path: '/api/v1/tokens', query: { limit: 200 } })) as {
        tokens: { id: string; principal: string; role: string; expires_at: string; revoked_at: string | null }[]
      } // the endpoint's contract
      io.answer(
        answer,
        table(
          ['token', 'principal', 'role', 'until'],
          answer.tokens.map((one) => [one.id, one.principal, one.role, one.revoked_at ? 'revoked' : one.expires_at]),
          'No token yet',
        ),
      )
    },
  })
  addCommand(group, {
    use: 'revoke <token>',
    summary: 'end a token',
    example: 'plimsoll token revoke tok_0192…',
    action: async ({ io, options, args }) => {
      await connect(options).client.call({ method: 'DELETE', path: `/api/v1/tokens/${encodeURIComponent(args[0]!)}` })
      io.answer({ revoked: args[0] }, `${args[0]} is revoked`)
    },
  })
}
