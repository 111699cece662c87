import { Button, Modal, VisuallyHidden } from '@mantine/core'
import { isTerminalRun, type RunView } from '@plimsoll/sdk/wire'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useNavigate, useParams, useSearch } from '@tanstack/react-router'
import { useCallback, useEffect, useRef, useState } from 'react'
import { cancelRun, runQuery } from '../../api/queries.ts'
import { actorText } from '../../format/actor.ts'
import { plainLines, plainText } from '../../format/amount.ts'
import { Answer, Empty, Problem } from '../../parts/answer.tsx'
import { lookOf, State } from '../../parts/state.tsx'
import { Clip, Digest, Took, When } from '../../parts/text.tsx'
import { useTitle } from '../../shell/title.ts'
import { Graph } from './graph.tsx'
import { openStepOf } from './open-step.ts'
import { StepPanel } from './step-panel.tsx'

function Cancel({ run }: { run: RunView }) {
  const [isAsking, setAsking] = useState(false)
  const queries = useQueryClient()
  const cancel = useMutation({
    mutationFn: () => cancelRun(run.id),
    onSuccess: async () => {
      setAsking(false)
      await queries.invalidateQueries({ queryKey: ['run', run.id] })
    },
  })
  return (
    <>
      <Button variant="default" disabled={run.state === 'cancelling'} onClick={() => setAsking(true)}>
        Cancel run
      </Button>
      <Modal
        opened={isAsking}
        onClose={() => setAsking(false)}
        title="Cancel this run?"
        centered
        closeButtonProps={{ 'aria-label': 'Close' }}
      >
        <div className="stack">
          <p>
            Steps that run are stopped and lose their work since the last checkpoint. What has finished stays in the
            cache.
          </p>
          {cancel.error !== null && <Problem error={cancel.error} />}
          <div className="row">
            <Button color="red.8" loading={cancel.isPending} onClick={() => cancel.mutate()}>
              Cancel the run
            </Button>
            <Button variant="default" onClick={() => setAsking(false)}>
              Let it go on
            </Button>
          </div>
        </div>
      </Modal>
    </>
  )
}

function Head({ run }: { run: RunView }) {
  const params = Object.entries(run.params)
  return (
    <header className="stack">
      <div className="row between">
        <div className="row">
          <h1 className="wrap">{run.pipeline ?? 'One step'}</h1>
          <span role="status">
            <VisuallyHidden>Run </VisuallyHidden>
            <State look={lookOf(run.state)} />
          </span>
        </div>
        {!isTerminalRun(run.state) && <Cancel run={run} />}
      </div>
      <div className="row soft">
        <Clip className="mono" text={run.id} />
        <span className="wrap">
          started <When at={run.createdAt} /> {actorText(run.actor)}
        </span>
        {run.finishedAt !== null && (
          <span>
            ended <When at={run.finishedAt} />
          </span>
        )}
        {run.startedAt !== null && (
          <span>
            {run.finishedAt !== null && 'took '}
            <Took from={run.startedAt} to={run.finishedAt} />
            {run.finishedAt === null && ' so far'}
          </span>
        )}
        <span>
          {run.steps.done} of {run.steps.total} steps done, {run.steps.cached} from the cache
        </span>
        <span>
          pipeline <Digest digest={run.pipelineDigest} what="pipeline digest" />
        </span>
      </div>
      {params.length > 0 && (
        <p className="soft mono wrap">
          {plainText(params.map(([name, value]) => `${name}=${JSON.stringify(value)}`).join('  '), 1_000)}
        </p>
      )}
      {run.reason !== null && (
        <p className="lines" data-tone={run.state === 'queued' ? 'signal' : undefined}>
          {run.state === 'queued' && 'It waits, and goes on by itself: '}
          {plainLines(run.reason)}
        </p>
      )}
    </header>
  )
}

/** The graph, and the step that was chosen or opens by itself; the last of these stays open when nothing runs any more. */
function Steps({ run, step, onChoose }: { run: RunView; step: string | undefined; onChoose: (key: string) => void }) {
  const last = useRef<string>(undefined)
  const chosen = step ?? openStepOf(run.graph) ?? last.current
  useEffect(() => {
    last.current = chosen
  }, [chosen])
  return (
    <>
      <Graph steps={run.graph} chosen={chosen} onChoose={onChoose} />
      {chosen === undefined ? (
        <p className="soft">Choose a step to see its log, its attempts and what it made.</p>
      ) : (
        <StepPanel key={chosen} run={run.id} step={chosen} />
      )}
    </>
  )
}

/** One run: its graph, live, and one step of it with its log. */
export function Run() {
  const { run: id } = useParams({ from: '/runs/$run' })
  const { step } = useSearch({ from: '/runs/$run' })
  const navigate = useNavigate()
  const query = useQuery(runQuery(id))
  useTitle(`Run ${query.data === undefined ? id : (query.data.pipeline ?? 'of one step')}`)
  const choose = useCallback(
    (key: string) => void navigate({ to: '/runs/$run', params: { run: id }, search: { step: key }, replace: true }),
    [id, navigate],
  )
  return (
    <Answer query={query} title={`Run ${id}`}>
      {(run) => (
        <>
          <Head run={run} />
          {run.graph.length === 0 ? (
            <Empty
              title="No steps"
              text="This run has nothing to do. Give its pipeline a step, apply your project, and start another."
              command={`plimsoll run start ${run.pipeline ?? 'PIPELINE'}`}
            />
          ) : (
            <Steps key={id} run={run} step={step} onChoose={choose} />
          )}
        </>
      )}
    </Answer>
  )
}
