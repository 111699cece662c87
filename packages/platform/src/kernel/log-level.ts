import { z } from 'zod'

/** From which level on a log is written. Apart from the log, which a command that only reads its settings does not load. */
export const logLevel = z.enum(['debug', 'info', 'warn', 'error', 'silent'])
