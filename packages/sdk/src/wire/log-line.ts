const OWN_LINE = /^\{"level":\d+,.*\}$/
const LEVELS: Readonly<Record<number, PlatformLogLine['level']>> = { 40: 'warning', 50: 'error', 60: 'error' }
/** Members that say what stands beside the line already, or what nobody asks for. */
const KNOWN_MEMBERS = new Set(['level', 'time', 'name', 'pid', 'msg'])

/** A line that the platform itself wrote to the log of a step. */
export interface PlatformLogLine {
  /** ISO text in UTC; undefined when it says none. */
  readonly at: string | undefined
  /** Undefined for what is neither a warning nor an error. */
  readonly level: 'warning' | 'error' | undefined
  /** Its message, and its other members as `name=value`. */
  readonly text: string
}

/** Reads a line of the log of a step as the platform writes it; undefined for one that somebody else wrote. */
export function readLogLine(line: string): PlatformLogLine | undefined {
  if (!OWN_LINE.test(line)) return undefined
  try {
    const { level, time, name, msg, ...rest } = JSON.parse(line) as Record<string, unknown> // the form of the line makes it an object
    if (typeof msg !== 'string' || typeof name !== 'string' || !name.startsWith('step ')) return undefined
    const told = Object.entries(rest)
      .filter(([member]) => !KNOWN_MEMBERS.has(member))
      .map(([member, value]) => `${member}=${JSON.stringify(value)}`)
    const at = typeof time === 'number' && Math.abs(time) <= 8.64e15 ? new Date(time).toISOString() : undefined
    const text = [msg, ...(told.length > 0 ? [told.join(' ')] : [])].join('  ').replace(/\p{Cc}/gu, ' ')
    return { at, level: LEVELS[Number(level)], text }
  } catch {
    return undefined
  }
}
