import { useQuery } from '@tanstack/react-query'
import { Link, useParams } from '@tanstack/react-router'
import { useEffect } from 'react'
import { PROJECT } from '../../api/session.ts'
import {
  experimentQuery,
  experimentRunsQuery,
  experimentsQuery,
  RUNS_SHOWN,
  type TrackedRun,
  trackedRunQuery,
} from '../../api/tracked.ts'
import { formatMetric, plainText } from '../../format/amount.ts'
import { DEFAULT_PROJECT } from '../../format/in-project.ts'
import { formatDuration } from '../../format/time.ts'
import { Answer } from '../../parts/answer.tsx'
import { State, type Tone } from '../../parts/state.tsx'
import { Table } from '../../parts/table.tsx'
import { Clip, Command, When } from '../../parts/text.tsx'
import { useTitle } from '../../shell/title.ts'

const SHOWN_MAX = 500

const LOOKS: Record<string, { icon: string; tone: Tone }> = {
  RUNNING: { icon: '▶', tone: 'work' },
  FINISHED: { icon: '✓', tone: 'work' },
  FAILED: { icon: '✕', tone: 'harm' },
}

/** Opens the same page in the project that has what is asked for. */
function useProject(project: string | undefined): void {
  useEffect(() => {
    if (project !== undefined && project !== PROJECT)
      location.replace(`${location.pathname}?project=${encodeURIComponent(project)}`)
  }, [project])
}

/** The client names no project; it is that of its token. */
function Read({ command }: { command: string }) {
  const isDefault = PROJECT === DEFAULT_PROJECT
  return (
    <>
      <p className="soft">
        All that was tracked is read with the mlflow client{isDefault ? '' : ' and a token of this project'}, such as:
      </p>
      <Command
        text={`${isDefault ? '' : 'MLFLOW_TRACKING_TOKEN=TOKEN '}MLFLOW_TRACKING_URI=${location.origin} ${command}`}
      />
    </>
  )
}

/** A client may say any number; what is no instant is not shown. */
const isInstant = (ms: number | undefined): ms is number => ms !== undefined && Math.abs(ms) <= 8.64e15

/** When it started and what it took so far; undefined where that is not known. */
function timesOf({ start_time: startMs, end_time: endMs }: TrackedRun['info']) {
  if (!isInstant(startMs) || (endMs !== undefined && !isInstant(endMs))) return undefined
  return {
    startedAt: new Date(startMs).toISOString(),
    took: endMs === undefined ? undefined : formatDuration(endMs - startMs),
  }
}

function Status({ status }: { status: string }) {
  return <State look={{ ...(LOOKS[status] ?? { icon: '◼', tone: 'calm' }), text: status.toLowerCase() }} />
}

function Head({ run }: { run: TrackedRun }) {
  const { info, data } = run
  const tag = (name: string) => data.tags.find(({ key }) => key === name)?.value
  const [made, step] = [tag('plimsoll.run'), tag('plimsoll.step')]
  const times = timesOf(info)
  const experiment = useQuery(experimentQuery(info.experiment_id)).data?.found.name
  return (
    <header className="stack">
      <div className="row">
        <h1 className="wrap">{plainText(info.run_name || 'Tracked run')}</h1>
        <Status status={info.status} />
        {info.lifecycle_stage === 'deleted' && <span className="soft">deleted</span>}
      </div>
      <div className="row soft">
        <Clip className="mono" text={info.run_id} />
        <Link to="/tracked/experiments/$experiment" params={{ experiment: info.experiment_id }}>
          experiment {plainText(experiment ?? info.experiment_id, 40)}
        </Link>
        {times !== undefined && (
          <span>
            started <When at={times.startedAt} />
            {times.took !== undefined && `, took ${times.took}`}
          </span>
        )}
        {made !== undefined && step !== undefined && (
          <span className="wrap">
            tracked by{' '}
            <Link to="/runs/$run" params={{ run: made }} search={{ step }}>
              step {plainText(step, 80)} of run {plainText(made, 80)}
            </Link>
          </span>
        )}
      </div>
    </header>
  )
}

/** What the mlflow client logged in one run: where the links lead that it prints. */
export function Tracked() {
  const { tracked } = useParams({ from: '/tracked/runs/$tracked' })
  const query = useQuery(trackedRunQuery(tracked))
  useTitle(`Tracked run ${query.data?.found.info.run_name || tracked}`)
  useProject(query.data?.project)
  return (
    <Answer query={query} title={`Tracked run ${tracked}`}>
      {({ found: run }) => (
        <>
          <Head run={run} />
          <section className="surface stack" aria-labelledby="metrics">
            <h2 id="metrics">Metrics</h2>
            {run.data.metrics.length === 0 ? (
              <p className="soft">None.</p>
            ) : (
              <div className="figures">
                {run.data.metrics.slice(0, SHOWN_MAX).map(({ key, value }) => (
                  <div key={key}>
                    <div className="figure">
                      {typeof value === 'number' ? formatMetric(value) : plainText(value, 40)}
                    </div>
                    <Clip className="soft" text={key} />
                  </div>
                ))}
              </div>
            )}
          </section>
          <section className="surface stack" aria-labelledby="params">
            <h2 id="params">Params</h2>
            {run.data.params.length === 0 ? (
              <p className="soft">None.</p>
            ) : (
              <dl className="facts">
                {run.data.params.slice(0, SHOWN_MAX).map(({ key, value }) => (
                  <div key={key} style={{ display: 'contents' }}>
                    <dt className="wrap">{plainText(key, 80)}</dt>
                    <dd>{plainText(value)}</dd>
                  </div>
                ))}
              </dl>
            )}
          </section>
          <section className="surface stack" aria-label="How to read more">
            <Read command={`mlflow runs describe --run-id ${run.info.run_id}`} />
          </section>
        </>
      )}
    </Answer>
  )
}

/** Metrics of a run in one line, for a list. */
function metricsText({ data }: TrackedRun): string {
  const shown = data.metrics.slice(0, 3).map(({ key, value }) => {
    const text = typeof value === 'number' ? formatMetric(value) : plainText(value, 40)
    return `${plainText(key, 40)} ${text}`
  })
  const more = data.metrics.length - shown.length
  return [...shown, ...(more > 0 ? [`${more} more`] : [])].join(' · ')
}

function TrackedTable({ runs }: { runs: readonly TrackedRun[] }) {
  return (
    <div className="scroll">
      <Table titles={['Tracked run', 'Status', 'Metrics', 'Started', 'Took']}>
        {runs.map((run) => {
          const times = timesOf(run.info)
          return (
            <tr key={run.info.run_id}>
              <td>
                <Link to="/tracked/runs/$tracked" params={{ tracked: run.info.run_id }}>
                  <Clip text={run.info.run_name || 'unnamed'} />
                </Link>
                <div className="soft">
                  <Clip className="mono" text={run.info.run_id} />
                </div>
              </td>
              <td>
                <Status status={run.info.status} />
              </td>
              <td>
                <Clip text={metricsText(run) || 'none'} />
              </td>
              <td>{times === undefined ? '–' : <When at={times.startedAt} />}</td>
              <td className="nowrap">{times?.took ?? '–'}</td>
            </tr>
          )
        })}
      </Table>
    </div>
  )
}

function TrackedRuns({ experiment }: { experiment: string }) {
  const query = useQuery(experimentRunsQuery(experiment))
  return (
    <Answer query={query} rows={1}>
      {({ runs, next_page_token: next }) => (
        <section className="surface stack" aria-label="Tracked runs">
          {runs.length === 0 ? <p className="soft">No tracked run yet.</p> : <TrackedTable runs={runs} />}
          {next !== undefined && next !== '' && (
            <p className="soft">The newest {RUNS_SHOWN} are shown; the command below lists them all.</p>
          )}
        </section>
      )}
    </Answer>
  )
}

/** All that the mlflow client works in. */
export function Experiments() {
  const query = useQuery(experimentsQuery)
  useTitle('Experiments')
  return (
    <>
      <h1>Experiments</h1>
      <Answer query={query} rows={1}>
        {({ experiments, next_page_token: next }) => (
          <section className="surface stack">
            <div className="scroll">
              <Table titles={['Experiment', 'Id', 'Changed']}>
                {experiments.map((one) => (
                  <tr key={one.experiment_id}>
                    <td>
                      <Link to="/tracked/experiments/$experiment" params={{ experiment: one.experiment_id }}>
                        <Clip text={one.name} />
                      </Link>
                    </td>
                    <td>
                      <Clip className="mono" text={one.experiment_id} />
                    </td>
                    <td>
                      {isInstant(one.last_update_time) ? (
                        <When at={new Date(one.last_update_time).toISOString()} />
                      ) : (
                        '–'
                      )}
                    </td>
                  </tr>
                ))}
              </Table>
            </div>
            {experiments.length === 0 && <p className="soft">No experiment yet.</p>}
            {next !== undefined && next !== '' && <p className="soft">The newest {RUNS_SHOWN} are shown.</p>}
          </section>
        )}
      </Answer>
    </>
  )
}

/** Where the link leads that the mlflow client prints of an experiment. */
export function Experiment() {
  const { experiment } = useParams({ from: '/tracked/experiments/$experiment' })
  const query = useQuery(experimentQuery(experiment))
  useTitle(`Experiment ${query.data?.found.name ?? experiment}`)
  useProject(query.data?.project)
  return (
    <Answer query={query} title={`Experiment ${experiment}`} rows={1}>
      {({ found, others }) => (
        <>
          <h1 className="wrap">{plainText(found.name)}</h1>
          {others.length > 0 && (
            <p className="wrap" role="note">
              MLflow's links name no project. Experiment {plainText(found.experiment_id, 40)} is also in{' '}
              {others.map(({ project, name }) => (
                <span key={project}>
                  <a href={`${location.pathname}?project=${encodeURIComponent(project)}`}>{plainText(project)}</a> (
                  {plainText(name, 80)}){' '}
                </span>
              ))}
            </p>
          )}
          <p className="soft">
            An experiment of the mlflow client, one of <Link to="/tracked/experiments">all</Link>. The runs of your
            pipelines are under <Link to="/runs">Runs</Link>.
          </p>
          <TrackedRuns experiment={found.experiment_id} />
          <section className="surface stack" aria-label="How to read it">
            <Read command={`mlflow runs list --experiment-id ${found.experiment_id}`} />
          </section>
        </>
      )}
    </Answer>
  )
}
