import type { LiveView, RouteView } from '@plimsoll/sdk/wire'
import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { lazy, Suspense } from 'react'
import { liveQuery, releasesQuery } from '../../api/queries.ts'
import { actorText } from '../../format/actor.ts'
import { formatCount, formatMetric } from '../../format/amount.ts'
import { formatAbsolute, formatDuration } from '../../format/time.ts'
import { Answer } from '../../parts/answer.tsx'
import { LoadLine } from '../../parts/load-line.tsx'
import { Clip, Command, Digest, When } from '../../parts/text.tsx'

const HourChart = lazy(() => import('./hour-chart.tsx').then(({ HourChart }) => ({ default: HourChart })))

function Serving({ route }: { route: RouteView }) {
  const { assignment, environment, name } = route
  const releases = useQuery(releasesQuery(name, environment))
  if (assignment === null)
    return (
      <div className="stack">
        <p className="soft">No version serves here. Release one:</p>
        <Command text={`plimsoll release ${name} VERSION --reason WHY --token-file APPROVER.token`} />
      </div>
    )
  const newest = releases.data?.releases[0]
  const isNamed = newest?.id === assignment.release
  return (
    <dl className="facts">
      <dt>Serves</dt>
      <dd>
        <Link
          to="/models/$model/versions/$version"
          params={{ model: assignment.model, version: String(assignment.version) }}
        >
          <Clip text={`${assignment.model} version ${assignment.version}`} />
        </Link>
      </dd>
      <dt>Artifact</dt>
      <dd>
        <Digest digest={assignment.artifact} what="artifact digest" />
      </dd>
      <dt>Since</dt>
      <dd>
        <When at={assignment.since} />
        {isNamed &&
          ` · ${newest.action === 'rollback' ? 'rolled back' : 'released'} ${actorText(newest.actor)}${newest.isSelfApproved ? ', self-approved' : ''}`}
      </dd>
    </dl>
  )
}

const DATE_CHARS = 'YYYY-MM-DD'.length
const UNSCORED = 'Unscored labels measure nothing: the record of their prediction has no score of their row.'

/** Of all that the route answered; how good it is, of what serves now. */
function Quality({ live, assignment }: { live: LiveView; assignment: RouteView['assignment'] }) {
  const since = live.hours[0]?.hourMs
  const arm = live.arms.find((one) => one.release === assignment?.release)
  const of = `of version ${assignment?.version}`
  return (
    <>
      <div className="figures">
        <div>
          <div className="figure">{formatCount(live.predictions)}</div>
          <div className="soft">
            predictions{since !== undefined && ` since ${formatAbsolute(since).slice(0, DATE_CHARS)}`}
          </div>
        </div>
        <div>
          <div className="figure">{formatCount(live.labelled)}</div>
          <div className="soft">labelled</div>
        </div>
        {live.unscored > 0 && (
          <div>
            <div className="figure">{formatCount(live.unscored)}</div>
            <div className="soft">unscored</div>
          </div>
        )}
        {arm?.auc != null && (
          <div>
            <div className="figure">{formatMetric(arm.auc)}</div>
            <div className="soft">AUC {of}</div>
          </div>
        )}
        {arm?.brier != null && (
          <div>
            <div className="figure">{formatMetric(arm.brier)}</div>
            <div className="soft">Brier score {of}</div>
          </div>
        )}
      </div>
      {live.unscored > 0 && <p className="soft">{UNSCORED}</p>}
    </>
  )
}

/** Of the slowest gateway; null where nothing was asked lately. */
function latencyMsP99({ gateways }: LiveView): number | null {
  const measured = gateways.flatMap(({ latency }) => (latency === null ? [] : [latency.p99Ms]))
  return measured.length > 0 ? Math.max(...measured) : null
}

function Gateways({ live, epoch }: { live: LiveView; epoch: number | undefined }) {
  if (live.gateways.length === 0) return <p className="soft">No gateway has reported. Is plimsoll up running?</p>
  return live.gateways.map((gateway) => {
    const isBehind = epoch !== undefined && gateway.epoch < epoch
    return (
      <div className="row between soft" key={gateway.gateway}>
        <Clip text={gateway.gateway} />
        <span className="state" data-tone={gateway.refused === null ? (isBehind ? 'signal' : 'calm') : 'harm'}>
          {gateway.refused === null ? gateway.state : 'refused a release'}
          {isBehind && ' · has not taken the last release yet'}
        </span>
        <When at={gateway.seenAt} />
      </div>
    )
  })
}

/** One route: what serves, how much, how well, and against which line. */
export function RouteCard({ route }: { route: RouteView }) {
  const live = useQuery(liveQuery(route.name, route.environment))
  return (
    <article className="surface stack" aria-label={`Route ${route.name}`}>
      <div className="row between">
        <h2 className="wrap">{route.name}</h2>
        <span className="soft">{route.environment}</span>
      </div>
      <Serving route={route} />
      <Answer query={live} rows={2}>
        {(data) => (
          <>
            {data.fault !== null && (
              <p className="state" data-tone="harm" role="alert">
                {data.fault}
              </p>
            )}
            {(route.assignment !== null || latencyMsP99(data) !== null) && (
              <LoadLine
                label="Latency, 99 of 100 answers of the last minute"
                value={latencyMsP99(data)}
                mark={route.definition.sloMs}
                none="no answer in the last minute"
                format={formatDuration}
              />
            )}
            <Quality live={data} assignment={route.assignment} />
            {data.hours.length > 0 && (
              <Suspense fallback={<div className="chart" />}>
                <HourChart hours={data.hours} />
              </Suspense>
            )}
            <h3>Gateways</h3>
            <Gateways live={data} epoch={route.assignment?.epoch} />
          </>
        )}
      </Answer>
    </article>
  )
}
