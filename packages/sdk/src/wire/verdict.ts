/**
 * What a gate, a check and each of the three records of delivery end with: the code's (CI), the model's (CT), the rollout's
 * (CD). `inconclusive`: the data could not decide, and the record says how much more is needed. `error`: nothing was
 * measured; it is never taken for one of the others.
 */
export const VERDICTS = ['pass', 'fail', 'inconclusive', 'error'] as const
/** One of `VERDICTS`. */
export type Verdict = (typeof VERDICTS)[number]

/** What had a commit checked: a push that a webhook told of, a command, or a look at the repository. */
export const CI_TRIGGERS = ['webhook', 'cli', 'poll'] as const
/** One of `CI_TRIGGERS`. */
export type CiTrigger = (typeof CI_TRIGGERS)[number]
