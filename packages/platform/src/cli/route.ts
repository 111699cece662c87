import { type LiveView, liveView, type RouteView, releaseList, routeList, routeView } from '@plimsoll/sdk/wire'
import type { Command } from 'commander'
import { countText } from '../kernel/count-text.ts'
import { segment } from './argument.ts'
import { addCommand, addGroup } from './command.ts'
import { connect, flagsOf } from './connection.ts'
import { printable } from './io.ts'
import { formatInstant, table } from './table.ts'

/** How well the labelled rows of what serves now were told, where there are enough. */
function qualityLines({ arms }: LiveView, assignment: RouteView['assignment']): string[] {
  const now = arms.find(({ release }) => release === assignment?.release)
  const metrics = now
    ? ([
        ['AUC', now.auc],
        ['Brier score', now.brier],
        ['log loss', now.logLoss],
      ] as const)
    : []
  const said = metrics.flatMap(([name, value]) => (value === null ? [] : [`${name} ${value.toFixed(3)}`]))
  return said.length === 0 ? [] : [`  quality      ${said.join(', ')} of ${countText(now!.labelled, 'labelled row')}`]
}

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
        ...qualityLines(live, assignment),
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
