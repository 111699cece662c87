/**
 * States of a rollout; the last three are final. `shadow`, `canary` and `baking` are those in which a stage of the kind
 * `shadow`, `canary` or `full` is open; `paused` keeps the stage that it came from. `aborted`: it ended before live traffic.
 */
export const ROLLOUT_STATES = [
  'planned',
  'shadow',
  'canary',
  'baking',
  'paused',
  'promoted',
  'rolled_back',
  'aborted',
] as const
/** One of `ROLLOUT_STATES`. */
export type RolloutState = (typeof ROLLOUT_STATES)[number]
/** The final ones of `ROLLOUT_STATES`. */
export const TERMINAL_ROLLOUTS: readonly RolloutState[] = ROLLOUT_STATES.slice(ROLLOUT_STATES.indexOf('promoted'))

/**
 * Kinds of stages: `shadow` answers nobody, `canary` answers a share of the requests, `full` answers all of them and is
 * watched before it is promoted.
 */
export const STAGE_KINDS = ['shadow', 'canary', 'full'] as const
/** One of `STAGE_KINDS`. */
export type StageKind = (typeof STAGE_KINDS)[number]
