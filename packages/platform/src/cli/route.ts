import { liveView, releaseList, routeList, routeView } from '@plimsoll/sdk/wire'
import type { Command } from 'commander'
import { segment } from './argument.ts'
import { addCommand, addGroup } from './command.ts'
import { connect, flagsOf } from './connection.ts'
import { printable } from './io.ts'
import { formatInstant, table } from './table.ts'

/** `route list|show`: what serves where, since when, and what became of it. */
export function addRoute(program: Command): void {
  const group = addGroup(program, 'route', 'look at routes: what serves, and what it answered')
  addCommand(group, {
    use: 'list',
    summary: 'list routes with the version that each serves',
    example: 'plimsoll route list',
    action: async ({ io, options }) => {
      const { routes } = await connect(options).client.call({ path: '/api/v1/routes', schema: routeList })
      io.answer(
        { routes },
        table(
          [{ elastic: 'route' }, 'environment', { elastic: 'serves' }, 'since'],
          routes.map(({ name, environment, assignment }) => [
            name,
            environment,
            assignment === null ? 'nothing yet' : `${assignment.model}/${assignment.version}`,
            assignment === null ? '' : formatInstant(assignment.since),
          ]),
          `No routes yet. Declare one in the project, then run plimsoll apply${flagsOf(options)}`,
        ),
      )
    },
  })
  addCommand<{ environment?: string }>(group, {
    use: 'show <route>',
    summary: 'show what a route serves, how many predictions it gave, and its releases, newest first',
    example: 'plimsoll route show flight-delay',
    options: [['--environment <name>', 'environment (default: production)']],
    action: async ({ io, options, args }) => {
      const { client } = connect(options)
      const path = `/api/v1/routes/${segment(args[0], 'route')}`
      const query = { environment: options.environment ?? 'production' }
      const route = await client.call({ path, query, schema: routeView })
      const live = await client.call({ path: `${path}/live`, query, schema: liveView })
      const { releases } = await client.call({ path: `${path}/releases`, query, schema: releaseList })
      const { name, environment, assignment } = route
      io.answer({ route, live, releases }, [
        printable(
          `${name} in ${environment} serves ${assignment === null ? 'nothing yet' : `${assignment.model}/${assignment.version} since ${formatInstant(assignment.since)}`}`,
        ),
        `  predictions  ${live.predictions}, of which ${live.labelled} are labelled`,
        ...table(
          ['action', { elastic: 'version' }, 'at', { elastic: 'by' }, { elastic: 'reason' }],
          releases.map((one) => [
            one.action,
            `${one.model}/${one.version}`,
            formatInstant(one.createdAt),
            one.actor,
            one.reason,
          ]),
          'Nothing was released there yet',
        ),
      ])
    },
  })
}
