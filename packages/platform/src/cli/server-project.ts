import { createdProject, projectList, projectName } from '@plimsoll/sdk/wire'
import type { Command } from 'commander'
import { checked } from './argument.ts'
import { addCommand, addGroup } from './command.ts'
import { connect } from './connection.ts'
import { formatInstant, table } from './table.ts'

/** `project list|create`: projects of the server, which hold rows and roles. */
export function addServerProject(program: Command): void {
  const group = addGroup(program, 'project', 'projects of the server, which hold all rows and roles')
  addCommand(group, {
    use: 'list',
    summary: 'list the projects that you may see, with your role on each',
    example: 'plimsoll project list',
    action: async ({ io, options }) => {
      const answer = await connect(options).client.call({ path: '/api/v1/projects', schema: projectList })
      io.answer(
        answer,
        table(
          [{ elastic: 'project' }, 'your role', 'created', { elastic: 'by' }],
          answer.projects.map((row) => [row.project, row.role, formatInstant(row.created_at), row.created_by]),
          'There is no project that you may see',
        ),
      )
    },
  })
  addCommand(group, {
    use: 'create <name>',
    summary: 'make a project; for the operator, on whose machine it needs no token, and admins of all projects',
    example: 'plimsoll project create ranking',
    action: async ({ io, options, args }) => {
      // Not in the project that PLIMSOLL_PROJECT names: that is often the one to be made.
      const { client } = connect({ ...options, project: options.project ?? 'default' })
      const made = await client.call({
        method: 'POST',
        path: '/api/v1/projects',
        body: { project: checked(projectName, args[0], 'the name of a project') },
        schema: createdProject,
      })
      io.answer(
        made,
        `There is a project ${made.project} now. Commands go to it with --project ${made.project} or PLIMSOLL_PROJECT=${made.project}`,
      )
    },
  })
}
