import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { datasetsQuery, routesQuery, runsQuery } from '../../api/queries.ts'
import { PROJECT } from '../../api/session.ts'
import { inProject } from '../../format/in-project.ts'
import { Answer, Empty } from '../../parts/answer.tsx'
import { Clip, Command, When } from '../../parts/text.tsx'
import { useTitle } from '../../shell/title.ts'
import { RunTable } from '../run/run-table.tsx'
import { RouteCard } from './route-card.tsx'

const RECENT = 6

function Datasets() {
  const query = useQuery(datasetsQuery)
  return (
    <section className="surface stack" aria-labelledby="datasets">
      <h2 id="datasets">Datasets</h2>
      <Answer query={query} rows={1}>
        {({ datasets }) => {
          const failing = datasets.filter((dataset) => dataset.latestVerdict === 'failed')
          if (datasets.length === 0)
            return (
              <p className="soft">
                None yet. Define one in your project, then run {inProject('plimsoll apply', PROJECT)}.
              </p>
            )
          if (failing.length === 0)
            return (
              <p className="soft">
                {datasets.length === 1
                  ? 'The newest version of the one dataset passes, or has no checks.'
                  : `The newest version of each of the ${datasets.length} datasets passes, or has no checks.`}
              </p>
            )
          return failing.map((dataset) => (
            <div className="gap stack" key={dataset.name}>
              <div className="row between">
                <Clip text={dataset.name} />
                <span className="state" data-tone="harm">
                  <span aria-hidden="true">✕</span> version {dataset.latestVersion} fails its checks
                </span>
              </div>
              <p className="soft">
                <When at={dataset.updatedAt} />. It is the newest. Steps that read the dataset take the newest version
                that passed; where none has, they do not start. See what fails:
              </p>
              <Command text={`plimsoll dataset show ${dataset.name} ${dataset.latestVersion}`} />
              <p className="soft">
                Mend the data, or its expectations and {inProject('plimsoll apply', PROJECT)}. Then have it judged
                again:
              </p>
              <Command text={`plimsoll dataset add ${dataset.name}`} />
            </div>
          ))
        }}
      </Answer>
    </section>
  )
}

/** What is live. */
export function Overview() {
  useTitle('Overview')
  const routes = useQuery(routesQuery)
  const runs = useQuery(runsQuery())
  return (
    <>
      <h1>What is live</h1>
      <Answer query={routes} rows={2}>
        {(data) =>
          data.routes.length === 0 ? (
            <Empty
              title="Nothing serves yet"
              text="Define a route in plimsoll.project.mts, then apply your project."
              command="plimsoll apply"
            />
          ) : (
            <div className="cards">
              {data.routes.map((route) => (
                <RouteCard key={`${route.environment}/${route.name}`} route={route} />
              ))}
            </div>
          )
        }
      </Answer>
      <div className="pair wide">
        <section className="surface stack" aria-labelledby="runs">
          <div className="row between">
            <h2 id="runs">Recent runs</h2>
            <Link to="/runs">All runs</Link>
          </div>
          <Answer query={runs} rows={2}>
            {(data) =>
              data.runs.length === 0 ? (
                <>
                  <p className="soft">None yet. Apply a project with a pipeline, then start it.</p>
                  <Command text="plimsoll run start PIPELINE" />
                </>
              ) : (
                <RunTable runs={data.runs.slice(0, RECENT)} />
              )
            }
          </Answer>
        </section>
        <Datasets />
      </div>
    </>
  )
}
