/** What a profile tells of: the values that a model took, by feature, or the predictions that it made. */
export const PROFILE_SUBJECTS = ['features', 'predictions'] as const
/** One of `PROFILE_SUBJECTS`. */
export type ProfileSubject = (typeof PROFILE_SUBJECTS)[number]

/**
 * States of an alert. It fires after several windows that drifted (`pending` until then), and is over after several that did
 * not (`resolving` until then), so that one window neither starts nor ends it.
 */
export const ALERT_STATES = ['ok', 'pending', 'firing', 'resolving'] as const
/** One of `ALERT_STATES`. */
export type AlertState = (typeof ALERT_STATES)[number]
