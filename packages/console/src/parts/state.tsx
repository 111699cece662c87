import type { RunState, StepState } from '@plimsoll/sdk/wire'

export type Tone = 'calm' | 'work' | 'signal' | 'harm' | 'proof'

interface Look {
  readonly icon: string
  readonly tone: Tone
  readonly text: string
}

/** Red is harm and green is proof: work that merely ended well is neither. */
const LOOKS: Record<RunState | StepState, Look> = {
  queued: { icon: '◷', tone: 'calm', text: 'queued' },
  blocked: { icon: '◌', tone: 'calm', text: 'waits for others' },
  ready: { icon: '◷', tone: 'calm', text: 'ready' },
  running: { icon: '▶', tone: 'work', text: 'running' },
  cancelling: { icon: '◼', tone: 'signal', text: 'cancelling' },
  succeeded: { icon: '✓', tone: 'work', text: 'succeeded' },
  cached: { icon: '↺', tone: 'calm', text: 'from the cache' },
  failed: { icon: '✕', tone: 'harm', text: 'failed' },
  upstream_failed: { icon: '⇥', tone: 'harm', text: 'not run, one before failed' },
  not_run: { icon: '⇥', tone: 'calm', text: 'not run' },
  cancelled: { icon: '◼', tone: 'calm', text: 'cancelled' },
}

export function lookOf(state: RunState | StepState): Look {
  return LOOKS[state]
}

export function State({ look }: { look: Look }) {
  return (
    <span className="state" data-tone={look.tone}>
      <span aria-hidden="true">{look.icon}</span>
      {look.text}
    </span>
  )
}
