import type { PipelineStep, RunState, StepState } from '@plimsoll/sdk/wire'
import type { Selectable } from 'kysely'
import type { PipelineRunRow, StepRow } from './tables.ts'

/** State of a step whose run has no plan: it waits for one, or the run was over before it had one. */
export function stateWithoutPlan(run: RunState): StepState {
  if (run === 'failed') return 'not_run'
  return run === 'cancelled' ? 'cancelled' : 'blocked'
}

/** A step of a run without a plan, as a row that is not stored; what ended the run is why the step did not run. */
export function unplannedStep(
  run: Selectable<PipelineRunRow>,
  step: PipelineStep,
  position: number,
): Selectable<StepRow> {
  return {
    project: run.project,
    run: run.id,
    key: step.key,
    kind: step.kind,
    definition: step,
    position,
    state: stateWithoutPlan(run.state),
    reason: run.state === 'cancelled' ? 'run cancelled' : run.reason,
    waiting: 0,
    up_failed: 0,
    eligible_at: run.created_at,
    attempts_used: 0,
    infra_used: 0,
    fence: null,
    lease_owner: null,
    lease_expires_at: null,
    tracked_run: null,
    spec: null,
    inputs: null,
    cache_key: null,
    cache_verdict: null,
    outputs: null,
    result: null,
    progress: null,
    started_at: null,
    finished_at: run.finished_at,
  }
}
