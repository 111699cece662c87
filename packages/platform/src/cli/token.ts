import { closeSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { issuedToken, ROLES, tokenPage } from '@plimsoll/sdk/wire'
import type { Command } from 'commander'
import { errnoText } from '../kernel/errno-text.ts'
import { oneOf, segment, wholeNumber } from './argument.ts'
import { addCommand, addGroup } from './command.ts'
import { connect } from './connection.ts'
import { UsageError } from './exit-code.ts'
import { formatInstant, table } from './table.ts'

/** Made before the token is: one that cannot be kept is not asked for. */
function openTokenFile(path: string): number {
  try {
    return openSync(path, 'wx', 0o600)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const why = code === 'EEXIST' ? 'the file exists' : errnoText(error)
    throw new UsageError(`Cannot write the token to ${path}: ${why}`, 'Name a new file in a folder that you may write')
  }
}

function addCreate(group: Command): void {
  addCommand<{ role?: string; days?: string; name?: string; out?: string; allProjects?: boolean }>(group, {
    use: 'create <principal>',
    summary: 'make a token of a named person or program; it is shown once',
    example: 'plimsoll token create alice --role approver --out ~/.plimsoll-token',
    options: [
      ['--role <role>', 'viewer, editor, approver or admin (default: editor)'],
      ['--days <days>', 'how long it holds (default: 90)'],
      ['--name <text>', 'what it is for'],
      ['--all-projects', 'for every project, such as a viewer that scrapes /metrics; the operator makes it'],
      ['--out <file>', 'write it to this file, readable by you alone, instead of showing it'],
    ],
    action: async ({ io, options, args }) => {
      const days = options.days === undefined ? undefined : wholeNumber(options.days, '--days')
      oneOf(options.role, ROLES, '--role')
      const body = {
        principal: args[0],
        role: options.role ?? 'editor',
        ...(options.allProjects ? { allProjects: true } : {}),
        ...(days === undefined ? {} : { days }),
        ...(options.name === undefined ? {} : { name: options.name }),
      }
      const { client } = connect(options)
      const file = options.out === undefined ? undefined : openTokenFile(options.out)
      const issued = await client
        .call({ method: 'POST', path: '/api/v1/tokens', body, schema: issuedToken })
        .catch((error: unknown) => {
          if (file !== undefined) rmSync(options.out!, { force: true })
          throw error
        })
      if (file !== undefined) {
        writeFileSync(file, `${issued.token}\n`)
        closeSync(file)
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
      const query = { limit: 200 }
      const answer = await connect(options).client.call({ path: '/api/v1/tokens', query, schema: tokenPage })
      io.answer(
        answer,
        table(
          ['token', { elastic: 'principal' }, 'role', 'on', 'until'],
          answer.tokens.map((one) => [
            one.id,
            one.principal,
            one.role,
            one.all_projects ? 'all projects' : 'this project',
            one.revoked_at ? 'revoked' : formatInstant(one.expires_at),
          ]),
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
      await connect(options).client.call({ method: 'DELETE', path: `/api/v1/tokens/${segment(args[0], 'token')}` })
      io.answer({ revoked: args[0] }, `${args[0]} is revoked`)
    },
  })
}
