import type { RunSummary } from '@plimsoll/sdk/wire'
import { Link } from '@tanstack/react-router'
import { actorText } from '../../format/actor.ts'
import { lookOf, State } from '../../parts/state.tsx'
import { Table } from '../../parts/table.tsx'
import { Clip, Took, When } from '../../parts/text.tsx'

export function RunTable({ runs }: { runs: readonly RunSummary[] }) {
  return (
    <div className="scroll">
      <Table titles={['Run', 'State', 'Steps', 'Started', 'Took']}>
        {runs.map((run) => (
          <tr key={run.id}>
            <td>
              <Link to="/runs/$run" params={{ run: run.id }}>
                <Clip text={run.pipeline ?? 'one step'} />
              </Link>
              <div className="soft">
                <Clip className="mono" text={run.id} />
              </div>
            </td>
            <td>
              <State look={lookOf(run.state)} />
              {run.state === 'queued' && run.reason !== null && (
                <div className="soft">
                  <Clip text={run.reason} />
                </div>
              )}
            </td>
            <td className="nowrap">
              {run.steps.done} of {run.steps.total}
              {run.steps.cached > 0 && <div className="soft">{run.steps.cached} cached</div>}
            </td>
            <td>
              <When at={run.createdAt} />
              <div className="soft">
                <Clip text={actorText(run.actor)} />
              </div>
            </td>
            <td className="nowrap">
              <Took from={run.startedAt} to={run.finishedAt} />
            </td>
          </tr>
        ))}
      </Table>
    </div>
  )
}
