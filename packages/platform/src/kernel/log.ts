import { type DestinationStream, pino } from 'pino'
import type { z } from 'zod'
import type { logLevel } from './log-level.ts'

/** Structured log: fields first, then a short message. */
export interface Logger {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
  child(fields: object): Logger
}

export type LogLevel = z.infer<typeof logLevel>

const SECRET_NAMES = ['authorization', 'cookie', 'token', 'secret', 'secretAccessKey', 'privateKey', 'password']
/** At the top and two levels below it: as deep as a request's headers lie. */
const REDACTED_PATHS = SECRET_NAMES.flatMap((name) => [name, `*.${name}`, `*.*.${name}`])

/** JSON lines to `destination`, standard error when absent. Well-known secret fields are redacted by name. */
export function openLog(options: { level: LogLevel; name: string; destination?: DestinationStream }): Logger {
  return pino(
    {
      name: options.name,
      level: options.level,
      redact: { paths: REDACTED_PATHS, censor: '[redacted]' },
      base: { name: options.name, pid: process.pid },
    },
    options.destination ?? pino.destination({ fd: 2, sync: true }),
  )
}

export const silentLog: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLog,
}
